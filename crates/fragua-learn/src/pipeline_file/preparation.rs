//! How the columns are prepared.

use crate::Error;
use crate::codec::{Reader, Writer, damaged};
use crate::config::{DatePart, NeighborWeights};
use crate::feature::Feature;
use crate::prepare::categorical::{CategoricalColumn, MAX_CATEGORIES, MISSING};
use crate::prepare::dates::DateColumn;
use crate::prepare::encoded::EncodedColumn;
use crate::prepare::knn::KnnImputer;
use crate::prepare::numeric::NumericColumn;
use crate::prepare::pca::Pca;
use crate::prepare::{MAX_COLUMNS, Preparation, PreparedColumn};
use crate::table::ColumnKind;

const DROP_FIRST: u8 = 1;
const RARE_IS_CATEGORY: u8 = 2;
const ENCODED: u8 = 4;
const HAS_KNOTS: u8 = 8;
/// A part of a date.
const DATE: u8 = 32;
/// The next column is of the same texts.
const MORE: u8 = 16;
const MAY_BE_MISSING: u8 = 1;

pub(super) fn write_preparation(writer: &mut Writer, preparation: &Preparation) {
    let more = |position: usize| {
        let is_last = preparation.sources.get(position + 1) != Some(&preparation.sources[position]);
        if is_last { 0 } else { MORE }
    };
    for (position, column) in preparation.columns.iter().enumerate() {
        match column {
            PreparedColumn::Numeric(column) => {
                let missing = if column.may_be_missing { MAY_BE_MISSING } else { 0 };
                writer.byte(missing | knots_flag(column));
                writer.flag(column.fill.is_some());
                column.fill.into_iter().for_each(|fill| writer.single(fill));
                write_scale(writer, column);
            }
            PreparedColumn::Categorical(column) => write_categories(writer, column, 0),
            PreparedColumn::Encoded(column) => {
                write_categories(
                    writer,
                    &column.texts,
                    ENCODED | more(position) | knots_flag(&column.numeric),
                );
                column.values.iter().for_each(|&value| writer.single(value));
                write_scale(writer, &column.numeric);
            }
            PreparedColumn::Date(column) => {
                let numeric = &column.numeric;
                writer.count(0);
                writer.byte(MISSING);
                writer.flag(numeric.may_be_missing);
                writer.byte(DATE | more(position) | knots_flag(numeric));
                let place = DatePart::ALL.iter().position(|part| *part == column.part);
                writer.byte(place.expect("every part is among all") as u8);
                writer.flag(numeric.fill.is_some());
                numeric.fill.into_iter().for_each(|fill| writer.single(fill));
                write_scale(writer, numeric);
            }
        }
    }
    writer.flag(preparation.knn.is_some());
    if let Some(imputer) = &preparation.knn {
        writer.count(imputer.neighbors);
        writer.flag(imputer.weights == NeighborWeights::Distance);
        writer.singles(&imputer.donors);
        writer.singles(&imputer.means);
    }
    writer.flag(preparation.pca.is_some());
    if let Some(pca) = &preparation.pca {
        writer.doubles(&pca.means);
        writer.doubles(&pca.loadings);
    }
}

fn knots_flag(column: &NumericColumn) -> u8 {
    if column.knots.is_empty() { 0 } else { HAS_KNOTS }
}

fn write_scale(writer: &mut Writer, column: &NumericColumn) {
    writer.double(column.mean);
    writer.double(column.scale);
    if !column.knots.is_empty() {
        writer.count(column.knots.len());
        for (number, share) in &column.knots {
            writer.double(*number);
            writer.double(*share);
        }
    }
}

/// Numbers and shares of knots; the numbers rise.
fn read_knots(reader: &mut Reader<'_>, flags: u8) -> Result<Vec<(f64, f64)>, Error> {
    if flags & HAS_KNOTS == 0 {
        return Ok(Vec::new());
    }
    let count = reader.count(16)?;
    let knots: Vec<(f64, f64)> = (0..count)
        .map(|_| Ok((reader.finite_double()?, reader.finite_double()?)))
        .collect::<Result<_, Error>>()?;
    if knots.is_empty() || !knots.is_sorted_by(|one, two| one.0 < two.0) {
        return Err(damaged("the quantiles of a column are not in order"));
    }
    Ok(knots)
}

fn write_categories(writer: &mut Writer, column: &CategoricalColumn, flags: u8) {
    writer.count(column.categories.len());
    column
        .categories
        .iter()
        .for_each(|category| writer.text(category));
    writer.byte(column.fill);
    writer.flag(column.missing_is_category);
    let drop_first = if column.drop_first { DROP_FIRST } else { 0 };
    let rare_is_category = if column.rare_is_category {
        RARE_IS_CATEGORY
    } else {
        0
    };
    writer.byte(flags | drop_first | rare_is_category);
}

pub(super) fn read_preparation(
    reader: &mut Reader<'_>,
    features: &[Feature],
    version: u32,
) -> Result<Preparation, Error> {
    let mut columns = Vec::with_capacity(features.len());
    let mut sources = Vec::with_capacity(features.len());
    for (source, feature) in features.iter().enumerate() {
        let last = match feature.column_kind() {
            ColumnKind::Numeric => {
                let flags = reader.byte()?;
                if flags & !(MAY_BE_MISSING | HAS_KNOTS) != 0 {
                    return Err(damaged("an unknown kind of column"));
                }
                let fill = if reader.flag()? {
                    Some(reader.finite_single()?)
                } else {
                    None
                };
                let (mean, scale) = (reader.finite_double()?, reader.finite_double()?);
                PreparedColumn::Numeric(NumericColumn {
                    fill,
                    may_be_missing: flags & MAY_BE_MISSING != 0,
                    mean,
                    scale,
                    knots: read_knots(reader, flags)?,
                })
            }
            ColumnKind::Categorical => {
                let (mut column, mut more) = read_texts(reader, version)?;
                while more && columns.len() <= MAX_COLUMNS {
                    let is_date = matches!(column, PreparedColumn::Date(_));
                    columns.push(column);
                    (column, more) = read_texts(reader, version)?;
                    let is_alike = match column {
                        PreparedColumn::Encoded(_) => !is_date,
                        PreparedColumn::Date(_) => is_date,
                        PreparedColumn::Numeric(_) | PreparedColumn::Categorical(_) => false,
                    };
                    if !is_alike {
                        return Err(damaged("an unknown kind of category"));
                    }
                }
                column
            }
        };
        columns.push(last);
        sources.resize(columns.len(), source);
    }
    if columns.len() > MAX_COLUMNS {
        return Err(damaged("the number of columns is out of range"));
    }
    let mut preparation = Preparation {
        columns,
        sources,
        source_count: features.len(),
        knn: None,
        pca: None,
    };
    if reader.flag()? {
        preparation.knn = Some(read_neighbors(reader, preparation.numeric_positions())?);
    }
    if version >= 5 && reader.flag()? {
        let pca = Pca {
            means: reader.finite_doubles()?,
            loadings: reader.finite_doubles()?,
        };
        let numbers = preparation.numbers().count();
        let is_whole = pca.loadings.len().is_multiple_of(numbers.max(1));
        if pca.means.len() != numbers || !is_whole || pca.loadings.is_empty() || pca.count() > numbers {
            return Err(damaged("the components do not fit the columns"));
        }
        preparation.pca = Some(pca);
    }
    Ok(preparation)
}

/// Reads a column of texts, and whether the next one is of the same texts.
fn read_texts(reader: &mut Reader<'_>, version: u32) -> Result<(PreparedColumn, bool), Error> {
    let count = reader.count(1)?;
    let categories = (0..count).map(|_| reader.text()).collect::<Result<Vec<_>, _>>()?;
    if count > MAX_CATEGORIES || !categories.is_sorted_by(|a, b| a < b) {
        return Err(damaged("the categories are not in order"));
    }
    let fill = reader.byte()?;
    if fill != MISSING && usize::from(fill) >= count {
        return Err(damaged("a category is out of range"));
    }
    let missing_is_category = reader.flag()?;
    let flags = reader.byte()?;
    if version >= 7 && flags & DATE != 0 {
        if count > 0 || flags & !(DATE | MORE | HAS_KNOTS) != 0 {
            return Err(damaged("an unknown kind of date"));
        }
        let part = *DatePart::ALL
            .get(usize::from(reader.byte()?))
            .ok_or_else(|| damaged("an unknown part of a date"))?;
        let fill = if reader.flag()? {
            Some(reader.finite_single()?)
        } else {
            None
        };
        let numeric = NumericColumn {
            fill,
            may_be_missing: missing_is_category,
            mean: reader.finite_double()?,
            scale: reader.finite_double()?,
            knots: read_knots(reader, flags)?,
        };
        let date = DateColumn { part, numeric };
        return Ok((PreparedColumn::Date(date), flags & MORE != 0));
    }
    let of_numbers = match (flags & ENCODED, version) {
        (0, _) => 0,
        (_, ..=4) => HAS_KNOTS,
        _ => HAS_KNOTS | MORE,
    };
    if flags & !(DROP_FIRST | RARE_IS_CATEGORY | ENCODED | of_numbers) != 0 {
        return Err(damaged("an unknown kind of category"));
    }
    let texts = CategoricalColumn {
        categories,
        fill,
        missing_is_category,
        rare_is_category: flags & RARE_IS_CATEGORY != 0,
        drop_first: flags & DROP_FIRST != 0,
    };
    if flags & ENCODED == 0 {
        return Ok((PreparedColumn::Categorical(texts), false));
    }
    let values = (0..count + 2)
        .map(|_| reader.finite_single())
        .collect::<Result<_, _>>()?;
    let numeric = NumericColumn {
        fill: None,
        may_be_missing: false,
        mean: reader.finite_double()?,
        scale: reader.finite_double()?,
        knots: read_knots(reader, flags)?,
    };
    let encoded = EncodedColumn {
        texts,
        values,
        numeric,
    };
    Ok((PreparedColumn::Encoded(encoded), flags & MORE != 0))
}

fn read_neighbors(reader: &mut Reader<'_>, columns: Vec<usize>) -> Result<KnnImputer, Error> {
    let neighbors = reader.below(1 << 16)?;
    let weights = if reader.flag()? {
        NeighborWeights::Distance
    } else {
        NeighborWeights::Uniform
    };
    let (donors, means) = (reader.singles()?, reader.singles()?);
    let fits = means.len() == columns.len() && donors.len().is_multiple_of(columns.len().max(1));
    if !fits
        || neighbors == 0
        || (columns.is_empty() && !donors.is_empty())
        || means.iter().any(|mean| !mean.is_finite())
    {
        return Err(damaged("the neighbours do not fit the columns"));
    }
    if donors.iter().any(|value| value.is_infinite()) {
        return Err(damaged("a number is not finite"));
    }
    Ok(KnnImputer {
        columns,
        neighbors,
        weights,
        donors,
        means,
    })
}
