//! Fits one model on a CSV file and measures it on another: `measure TRAIN TEST CONFIG`, the last one JSON.
//!
//! Prints one line of JSON: wall and processor seconds of the fit, the most memory held until its end, figures on the
//! test rows, rows predicted a processor second, and microseconds for one row. `cargo xtask bench learn` runs it
//! beside scikit-learn, LightGBM and XGBoost.

use std::error::Error;
use std::fs;
use std::time::Instant;

use fragua_learn::{Cell, NoProgress, RowScratch, TrainConfig, fit, read_csv};
use serde_json::json;

/// Rows that are predicted one by one.
const SINGLE_ROWS: usize = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [train, test, config] = &arguments[..] else {
        return Err("expected TRAIN TEST CONFIG".into());
    };
    let config: TrainConfig = serde_json::from_str(config)?;
    let train = read_csv(fs::File::open(train)?)?;
    let (began, cpu) = (Instant::now(), cpu_seconds()?);
    let pipeline = fit(&train, &config, &NoProgress)?;
    let (fit_seconds, fit_cpu_seconds) = (began.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
    let peak_mebibytes = peak_mebibytes()?;
    drop(train);

    let test = read_csv(fs::File::open(test)?)?;
    let cpu = cpu_seconds()?;
    let mut predicted = 0;
    // Times are counted in hundredths of a second: go on until there are enough of them.
    while cpu_seconds()? - cpu < 1.0 {
        predicted += pipeline.predict(&test)?.labels.len();
    }
    let rows_per_cpu_second = predicted as f64 / (cpu_seconds()? - cpu);
    let metrics = pipeline.evaluate(&test)?.metrics;

    let count = SINGLE_ROWS.min(test.row_count());
    let (mut by_row, mut by_table) = (Vec::new(), Vec::new());
    let mut scratch = RowScratch::default();
    let columns: Vec<usize> = (pipeline.features().iter())
        .filter_map(|feature| test.names().iter().position(|name| *name == feature.name))
        .collect();
    for row in 0..count {
        let table = test.select_rows(&[row]);
        let cells: Vec<Cell<'_>> = columns.iter().map(|&column| test.cell(row, column)).collect();
        // Whoever comes second finds the row's nodes in the cache: they take turns.
        for turn in [row, row + 1] {
            let cells = cells.clone();
            let began = Instant::now();
            let times = if turn % 2 == 0 {
                pipeline.predict_row(cells, &mut scratch)?;
                &mut by_row
            } else {
                pipeline.predict(&table)?;
                &mut by_table
            };
            times.push((row % 2 == turn % 2, began.elapsed().as_secs_f64() * 1e6));
        }
    }
    let answer = json!({
        "fit_seconds": fit_seconds,
        "fit_cpu_seconds": fit_cpu_seconds,
        "peak_mebibytes": peak_mebibytes,
        "accuracy": metrics["accuracy"],
        "f1_macro": metrics["f1_macro"],
        "rows_per_cpu_second": rows_per_cpu_second,
        "one_row_microseconds": median_of_first(by_row),
        "one_row_table_microseconds": median_of_first(by_table),
        "file_mebibytes": pipeline.to_bytes().len() as f64 / f64::from(1 << 20),
    });
    println!("{answer}");
    Ok(())
}

/// The middle time of those that came first for their row.
fn median_of_first(times: Vec<(bool, f64)>) -> f64 {
    let first = times.into_iter().filter(|(is_first, _)| *is_first);
    let mut times: Vec<f64> = first.map(|(_, time)| time).collect();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Processor time of this process in user and kernel mode.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let behind_name = stat.rsplit_once(')').ok_or("no name in /proc/self/stat")?.1;
    let ticks: Vec<f64> = behind_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<f64>() / 100.0)
}

fn peak_mebibytes() -> Result<f64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kibibytes
        .ok_or("no VmHWM in /proc/self/status")?
        .trim()
        .parse::<f64>()?
        / 1024.0)
}
