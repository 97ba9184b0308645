// Everything here makes a page that already works quicker to use. Each module finds its elements by a data attribute.
import { followHash } from "./hash.js";
import { startLog } from "./log.js";
import { startLive } from "./live.js";
import { startSwap } from "./swap.js";
import { startTheme } from "./theme.js";
import { startTimes } from "./times.js";
import { startCopy } from "./copy.js";
import { startPlots } from "./line-plot.js";
import { startCompare } from "./compare.js";
import { startColumns } from "./columns.js";
import { startFilter } from "./filter.js";
import { startRunTable } from "./run-table.js";
import { startPickAll } from "./pick-all.js";

document.documentElement.classList.add("has-script");
followHash();
startTheme();
startTimes();
startCopy();
startSwap();
startLive();
startLog();
startPlots();
startColumns();
startFilter();
startRunTable();
startPickAll();
startCompare();
