//! The curves that probabilities go through.

use crate::Error;
use crate::calibrate::Calibration;
use crate::codec::{Reader, Writer, damaged};

pub(super) fn write_calibration(writer: &mut Writer, calibration: Option<&Calibration>) {
    match calibration {
        None => writer.byte(0),
        Some(Calibration::Sigmoid(curves)) => {
            writer.byte(1);
            for (slope, intercept) in curves {
                writer.double(*slope);
                writer.double(*intercept);
            }
        }
        Some(Calibration::Isotonic(curves)) => {
            writer.byte(2);
            for corners in curves {
                writer.count(corners.len());
                for (probability, share) in corners {
                    writer.double(*probability);
                    writer.double(*share);
                }
            }
        }
    }
}

/// Reads one curve a class, or the one of two classes.
pub(super) fn read_calibration(
    reader: &mut Reader<'_>,
    class_count: usize,
) -> Result<Option<Calibration>, Error> {
    let curve_count = if class_count == 2 { 1 } else { class_count };
    match reader.byte()? {
        0 => Ok(None),
        1 if class_count > 0 => {
            let curve = |_| Ok((reader.finite_double()?, reader.finite_double()?));
            let curves = (0..curve_count).map(curve).collect::<Result<_, Error>>()?;
            Ok(Some(Calibration::Sigmoid(curves)))
        }
        2 if class_count > 0 => {
            let curves = (0..curve_count)
                .map(|_| read_corners(reader))
                .collect::<Result<_, Error>>()?;
            Ok(Some(Calibration::Isotonic(curves)))
        }
        _ => Err(damaged("an unknown kind of calibration")),
    }
}

fn read_corners(reader: &mut Reader<'_>) -> Result<Vec<(f64, f64)>, Error> {
    let count = reader.count(16)?;
    let corners: Vec<(f64, f64)> = (0..count)
        .map(|_| Ok((reader.finite_double()?, reader.finite_double()?)))
        .collect::<Result<_, Error>>()?;
    let within = |corner: &(f64, f64)| (0.0..=1.0).contains(&corner.0) && (0.0..=1.0).contains(&corner.1);
    let rises = corners.is_sorted_by(|one, two| one.0 < two.0 && one.1 <= two.1);
    if corners.is_empty() || !rises || !corners.iter().all(within) {
        return Err(damaged("a calibration does not rise"));
    }
    Ok(corners)
}
