import importlib
import json
import os
import sys
import time
import traceback

# How this program says that a function had nothing to do, or that trying again is no use.
SKIPPED, FAILED_FOR_GOOD = 99, 98

# It may have been started before there was a task for it: then the rest of its environment comes with the task.
line = sys.stdin.buffer.readline()
if not line:
    sys.exit()
job = json.loads(line)
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
os.environ.update(job["environment"])
time.tzset()

module_name, _, attribute_path = job["function"].partition(":")
arguments = job["arguments"]

def tell(error):
    """Leaves one line that says what went wrong; the traceback is in the log."""
    text = "".join(traceback.format_exception_only(type(error), error)).strip().splitlines()
    with open(job["reason"], "w", encoding="utf-8", errors="replace") as file:
        file.write(text[-1] if text else type(error).__name__)


try:
    target = importlib.import_module(module_name)
    for attribute in attribute_path.split("."):
        target = getattr(target, attribute)
    result = target(**arguments) if isinstance(arguments, dict) else target(*arguments)
except Exception as error:
    # By name: the class may be Airflow's own, or one that stands in for it.
    names = {base.__name__ for base in type(error).__mro__}
    tell(error)
    if "AirflowSkipException" in names:
        sys.exit(SKIPPED)
    if "AirflowFailException" in names:
        traceback.print_exc()
        sys.exit(FAILED_FOR_GOOD)
    raise
if result is not None:
    with open(os.environ["FRAGUA_XCOM_FILE"], "w", encoding="utf-8") as file:
        json.dump(result, file)
