//! The file a pipeline is kept in.
//!
//! Magic, version, length and SHA-256 of the packed content, then the content packed by zlib. The checksum finds
//! accidents; nothing that follows it trusts the content: every length, position and kind is checked again.

use crate::calibrate::Calibration;
use crate::codec::{Reader, Writer, damaged};
use crate::config::NeighborWeights;
use crate::feature::{Feature, FeatureKind};
use crate::linear::{Design, Linear};
use crate::model::{Model, Span};
use crate::prepare::categorical::{CategoricalColumn, MAX_CATEGORIES, MISSING};
use crate::prepare::encoded::EncodedColumn;
use crate::prepare::knn::KnnImputer;
use crate::prepare::numeric::NumericColumn;
use crate::prepare::{Preparation, PreparedColumn};
use crate::table::ColumnKind;
use crate::tree::ensemble::{CodeSet, Ensemble, Kind, LeafValue, MAX_SETS, Node, Quantizer, Test};
use crate::{Error, Label, Pipeline};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::io::{Read, Write};

/// Version of the file's layout.
pub(crate) const VERSION: u32 = 4;
const MAGIC: &[u8; 8] = b"FRAGUAPL";
const HEADER_BYTES: usize = 8 + 4 + 8 + 32;
/// Most unpacked bytes; a packed file of a few megabytes cannot claim more memory than this.
const MAX_CONTENT_BYTES: u64 = 4 << 30;

impl Pipeline {
    /// Returns the pipeline as the bytes of a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut content = Writer::default();
        write_pipeline(&mut content, self);
        let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(&content.0).expect("memory can be written");
        let packed = packer.finish().expect("memory can be written");
        let mut file = Vec::with_capacity(HEADER_BYTES + packed.len());
        file.extend_from_slice(MAGIC);
        file.extend_from_slice(&VERSION.to_le_bytes());
        file.extend_from_slice(&(content.0.len() as u64).to_le_bytes());
        file.extend_from_slice(&checksum(VERSION, &packed));
        file.extend_from_slice(&packed);
        file
    }

    /// Reads a pipeline back from the bytes of a file. Any bytes are safe to give.
    ///
    /// # Errors
    /// [`Error::PipelineFile`] when it is not a pipeline file, is damaged, or comes from a newer version.
    pub fn load(bytes: &[u8]) -> Result<Self, Error> {
        let (content, version) = unpack(bytes)?;
        let mut reader = Reader(&content);
        let pipeline = read_pipeline(&mut reader, version)?;
        if !reader.0.is_empty() {
            return Err(damaged("there is more after its end"));
        }
        Ok(pipeline)
    }
}

/// The SHA-256 of the packed content; from version 3 on with the version in front, so that no version passes for another.
fn checksum(version: u32, packed: &[u8]) -> [u8; 32] {
    let mut digest = Sha256::new();
    if version >= 3 {
        digest.update(version.to_le_bytes());
    }
    digest.update(packed);
    digest.finalize().into()
}

/// Returns the content and its version.
fn unpack(bytes: &[u8]) -> Result<(Vec<u8>, u32), Error> {
    if !bytes.starts_with(MAGIC) {
        return Err(Error::PipelineFile("this is not a pipeline file".to_owned()));
    }
    let Some((header, packed)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Err(damaged("it ends too early"));
    };
    let number = |range: std::ops::Range<usize>| {
        header[range]
            .iter()
            .rev()
            .fold(0u64, |number, &byte| number << 8 | u64::from(byte))
    };
    let (version, length) = (number(8..12), number(12..20));
    // Version 1 is the same without sets of categories, version 2 without models of numbers and rare categories, version
    // 3 without the rows of leaves and calibration.
    if !(1..=u64::from(VERSION)).contains(&version) {
        let message = format!("version {version} of the layout, this program reads up to version {VERSION}");
        return Err(Error::PipelineFile(message));
    }
    if checksum(version as u32, packed) != header[20..] {
        return Err(damaged("the checksum does not match"));
    }
    if length > MAX_CONTENT_BYTES {
        return Err(damaged("it claims to be too large"));
    }
    let mut content = Vec::new();
    let unpacker = flate2::read::ZlibDecoder::new(packed);
    unpacker
        .take(length + 1)
        .read_to_end(&mut content)
        .map_err(|_| damaged("it cannot be unpacked"))?;
    if content.len() as u64 != length {
        return Err(damaged("its length does not match"));
    }
    Ok((content, version as u32))
}

fn write_pipeline(writer: &mut Writer, pipeline: &Pipeline) {
    writer.text(&pipeline.target);
    writer.text(&pipeline.model_name);
    writer.count(pipeline.features.len());
    pipeline
        .features
        .iter()
        .for_each(|feature| write_feature(writer, feature));
    writer.count(pipeline.labels.len());
    for label in &pipeline.labels {
        match label {
            Label::Integer(number) => {
                writer.byte(0);
                writer.0.extend_from_slice(&number.to_le_bytes());
            }
            Label::Text(text) => {
                writer.byte(1);
                writer.text(text);
            }
            Label::Number(_) => unreachable!("a number is never a class"),
        }
    }
    pipeline.importance.iter().for_each(|&value| writer.double(value));
    write_preparation(writer, &pipeline.preparation);
    match &pipeline.model {
        Model::Trees(ensemble) => {
            writer.byte(0);
            write_ensemble(writer, ensemble);
        }
        Model::Linear { linear, .. } => {
            writer.byte(1);
            writer.doubles(&linear.coefficients);
        }
        Model::TreeNumbers { ensemble, span } => {
            writer.byte(2);
            writer.double(span.scale);
            writer.double(span.offset);
            write_ensemble(writer, ensemble);
        }
        Model::LinearNumbers { linear, .. } => {
            writer.byte(3);
            writer.doubles(&linear.coefficients);
        }
    }
    write_calibration(writer, pipeline.calibration.as_ref());
}

fn write_calibration(writer: &mut Writer, calibration: Option<&Calibration>) {
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
fn read_calibration(reader: &mut Reader<'_>, class_count: usize) -> Result<Option<Calibration>, Error> {
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

fn read_pipeline(reader: &mut Reader<'_>, version: u32) -> Result<Pipeline, Error> {
    let target = reader.text()?;
    let model_name = reader.text()?;
    let feature_count = reader.count(8)?;
    let features = (0..feature_count)
        .map(|_| read_feature(reader))
        .collect::<Result<Vec<_>, _>>()?;
    if features.is_empty() || features.len() > usize::from(u16::MAX) {
        return Err(damaged("the number of columns is out of range"));
    }
    let label_count = reader.count(2)?;
    // None is a regression.
    if label_count == 1 || label_count > usize::from(u16::MAX) {
        return Err(damaged("the number of classes is out of range"));
    }
    let labels = (0..label_count)
        .map(|_| read_label(reader))
        .collect::<Result<Vec<_>, _>>()?;
    let importance = features
        .iter()
        .map(|_| reader.finite_double())
        .collect::<Result<_, _>>()?;
    let preparation = read_preparation(reader, &features)?;
    let linear = |reader: &mut Reader<'_>, output_count: usize| {
        let design = Design::new(&preparation);
        let coefficients = reader.finite_doubles()?;
        if coefficients.len() != (design.width + 1) * output_count {
            return Err(damaged("the number of coefficients is wrong"));
        }
        let linear = Linear {
            output_count,
            coefficients,
        };
        Ok((linear, design))
    };
    let model = match (reader.byte()?, labels.len()) {
        (0, classes @ 2..) => Model::Trees(read_ensemble(reader, &preparation, classes, version)?),
        (1, classes @ 2..) => {
            let (linear, design) = linear(reader, classes)?;
            Model::Linear { linear, design }
        }
        (2, 0) => {
            let (scale, offset) = (reader.finite_double()?, reader.finite_double()?);
            let ensemble = read_ensemble(reader, &preparation, 1, version)?;
            let span = Span { scale, offset };
            Model::TreeNumbers { ensemble, span }
        }
        (3, 0) => {
            let (linear, design) = linear(reader, 1)?;
            Model::LinearNumbers { linear, design }
        }
        _ => return Err(damaged("an unknown kind of model")),
    };
    let calibration = if version >= 4 {
        read_calibration(reader, labels.len())?
    } else {
        None
    };
    Ok(Pipeline {
        target,
        model_name,
        features,
        labels,
        importance,
        preparation,
        model,
        calibration,
    })
}

fn read_label(reader: &mut Reader<'_>) -> Result<Label, Error> {
    match reader.byte()? {
        0 => {
            let bytes = [(); 8].map(|()| reader.byte());
            let mut number = [0u8; 8];
            for (slot, byte) in number.iter_mut().zip(bytes) {
                *slot = byte?;
            }
            Ok(Label::Integer(i64::from_le_bytes(number)))
        }
        1 => Ok(Label::Text(reader.text()?)),
        _ => Err(damaged("an unknown kind of class")),
    }
}

fn write_feature(writer: &mut Writer, feature: &Feature) {
    writer.text(&feature.name);
    writer.byte(match feature.kind {
        FeatureKind::Integer => 0,
        FeatureKind::Number => 1,
        FeatureKind::Category => 2,
    });
    writer.flag(feature.has_missing);
    for value in [feature.minimum, feature.maximum, feature.median] {
        writer.flag(value.is_some());
        value.into_iter().for_each(|value| writer.double(value));
    }
    writer.count(feature.categories.len());
    feature
        .categories
        .iter()
        .for_each(|category| writer.text(category));
    match &feature.example {
        Value::String(text) => {
            writer.byte(1);
            writer.text(text);
        }
        Value::Number(number) => {
            writer.byte(2);
            writer.double(number.as_f64().unwrap_or(f64::NAN));
        }
        _ => writer.byte(0),
    }
}

fn read_feature(reader: &mut Reader<'_>) -> Result<Feature, Error> {
    let name = reader.text()?;
    let kind = match reader.byte()? {
        0 => FeatureKind::Integer,
        1 => FeatureKind::Number,
        2 => FeatureKind::Category,
        _ => return Err(damaged("an unknown kind of column")),
    };
    let has_missing = reader.flag()?;
    let mut optional = || {
        Ok(if reader.flag()? {
            Some(reader.finite_double()?)
        } else {
            None
        })
    };
    let (minimum, maximum, median) = (optional()?, optional()?, optional()?);
    let category_count = reader.count(1)?;
    let categories = (0..category_count)
        .map(|_| reader.text())
        .collect::<Result<_, _>>()?;
    let example = match (reader.byte()?, kind) {
        (0, _) => Value::Null,
        (1, _) => Value::String(reader.text()?),
        (2, FeatureKind::Integer) => Value::from(reader.finite_double()? as i64),
        (2, _) => Value::from(reader.finite_double()?),
        _ => return Err(damaged("an unknown kind of value")),
    };
    Ok(Feature {
        name,
        kind,
        has_missing,
        minimum,
        maximum,
        median,
        categories,
        example,
    })
}

const DROP_FIRST: u8 = 1;
const RARE_IS_CATEGORY: u8 = 2;
const ENCODED: u8 = 4;
const HAS_KNOTS: u8 = 8;
const MAY_BE_MISSING: u8 = 1;

fn write_preparation(writer: &mut Writer, preparation: &Preparation) {
    for column in &preparation.columns {
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
                write_categories(writer, &column.texts, ENCODED | knots_flag(&column.numeric));
                column.values.iter().for_each(|&value| writer.single(value));
                write_scale(writer, &column.numeric);
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

fn read_preparation(reader: &mut Reader<'_>, features: &[Feature]) -> Result<Preparation, Error> {
    let mut columns = Vec::with_capacity(features.len());
    for feature in features {
        columns.push(match feature.column_kind() {
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
            ColumnKind::Categorical => read_texts(reader)?,
        });
    }
    let numeric = (0..features.len()).filter(|&column| features[column].column_kind() == ColumnKind::Numeric);
    let knn = if reader.flag()? {
        Some(read_neighbors(reader, numeric.collect())?)
    } else {
        None
    };
    Ok(Preparation { columns, knn })
}

fn read_texts(reader: &mut Reader<'_>) -> Result<PreparedColumn, Error> {
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
    let of_numbers = if flags & ENCODED == 0 { 0 } else { HAS_KNOTS };
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
        return Ok(PreparedColumn::Categorical(texts));
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
    Ok(PreparedColumn::Encoded(EncodedColumn {
        texts,
        values,
        numeric,
    }))
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

const LEAF: u8 = 0;
const NUMERIC: u8 = 1;
const CATEGORY: u8 = 2;
const SET: u8 = 3;
const MISSING_LEFT: u8 = 4;

fn write_ensemble(writer: &mut Writer, ensemble: &Ensemble) {
    writer.flag(ensemble.softmax);
    ensemble.base.iter().for_each(|&base| writer.single(base));
    writer.count(ensemble.roots.len());
    for (tree, &root) in ensemble.roots.iter().enumerate() {
        let nodes = ensemble.tree_nodes(tree);
        writer.count(nodes.len());
        for (position, node) in nodes.iter().enumerate() {
            let (column, test) = match node.kind(|column| ensemble.is_category(column)) {
                Kind::Split { column, test } => (usize::from(column), test),
                Kind::Leaf { .. } => {
                    writer.byte(LEAF);
                    let values = &ensemble.values[node.values()];
                    writer.count(values.len());
                    for value in values {
                        writer.count(usize::from(value.class));
                        writer.single(value.value);
                    }
                    // A model from an older file does not know: 0 says so.
                    let rows = ensemble.rows.get(node.values().start).copied();
                    writer.number(u64::from(rows.unwrap_or(0)));
                    continue;
                }
            };
            match test {
                Test::Numeric { cut, missing_left } => {
                    let missing = if missing_left { MISSING_LEFT } else { 0 };
                    writer.byte(NUMERIC | missing);
                    writer.single(ensemble.threshold(column, cut));
                }
                Test::Category { code } => {
                    writer.byte(CATEGORY);
                    writer.byte(code);
                }
                Test::Set { index } => {
                    writer.byte(SET);
                    let words = ensemble.sets[usize::from(index)].0;
                    words
                        .iter()
                        .for_each(|word| writer.0.extend_from_slice(&word.to_le_bytes()));
                }
            }
            writer.count(column);
            // The right child follows the left one; both come after their parent.
            writer.count((node.next - root) as usize - position - 1);
        }
    }
}

fn read_ensemble(
    reader: &mut Reader<'_>,
    preparation: &Preparation,
    class_count: usize,
    version: u32,
) -> Result<Ensemble, Error> {
    let softmax = reader.flag()?;
    let base = (0..class_count)
        .map(|_| reader.finite_single())
        .collect::<Result<_, _>>()?;
    let quantizer = |column: &PreparedColumn| match column.kind() {
        ColumnKind::Numeric => Quantizer::Edges(Vec::new()),
        ColumnKind::Categorical => Quantizer::Codes,
    };
    let mut trees = Trees {
        ensemble: Ensemble {
            class_count,
            columns: preparation.columns.iter().map(quantizer).collect(),
            roots: Vec::new(),
            nodes: Vec::new(),
            values: Vec::new(),
            rows: Vec::new(),
            sets: Vec::new(),
            base,
            softmax,
        },
        numbers: Vec::new(),
        has_rows: version >= 4,
    };
    let tree_count = reader.count(2)?;
    for _ in 0..tree_count {
        trees.read_tree(reader)?;
    }
    trees.finish()
}

/// A node that compares with a number: its edge is known once all are read.
struct Number {
    node: u32,
    column: u16,
    threshold: f32,
    missing_left: bool,
}

struct Trees {
    ensemble: Ensemble,
    numbers: Vec<Number>,
    /// Whether leaves say how many rows they have.
    has_rows: bool,
}

impl Trees {
    fn read_tree(&mut self, reader: &mut Reader<'_>) -> Result<(), Error> {
        let root = self.ensemble.nodes.len();
        let size = reader.count(2)?;
        if size == 0 || root + size > u32::MAX as usize {
            return Err(damaged("the size of a tree is out of range"));
        }
        self.ensemble.roots.push(root as u32);
        // Each node but the root has one parent: nothing is walked twice.
        let mut has_parent = vec![false; size];
        has_parent[0] = true;
        for position in 0..size {
            let node = self.read_node(reader, root + position, root + size)?;
            if !node.is_leaf() {
                let left = node.next as usize - root;
                if has_parent[left] || has_parent[left + 1] {
                    return Err(damaged("a node has two parents"));
                }
                has_parent[left..=left + 1].fill(true);
            }
            self.ensemble.nodes.push(node);
        }
        if has_parent.contains(&false) {
            return Err(damaged("a node has no parent"));
        }
        Ok(())
    }

    /// Reads the node at `index` of a tree that ends at `end`.
    fn read_node(&mut self, reader: &mut Reader<'_>, index: usize, end: usize) -> Result<Node, Error> {
        let tag = reader.byte()?;
        let ensemble = &mut self.ensemble;
        let (test, threshold) = match tag & !MISSING_LEFT {
            LEAF => {
                let begin = ensemble.values.len();
                let count = reader.count(5)?;
                if !(1..=256).contains(&count) {
                    return Err(damaged("the number of a leaf's values is out of range"));
                }
                for _ in 0..count {
                    let class = reader.below(ensemble.class_count)? as u16;
                    let value = reader.finite_single()?;
                    ensemble.values.push(LeafValue { class, value });
                }
                if self.has_rows {
                    let rows = reader.below(1 << 32)? as u32;
                    ensemble.rows.resize(ensemble.values.len(), rows);
                }
                let begin = u32::try_from(begin).map_err(|_| damaged("there are too many leaves"))?;
                return Ok(Node::leaf(begin, count as u16));
            }
            NUMERIC => {
                let test = Test::Numeric {
                    cut: 0,
                    missing_left: false,
                };
                (test, Some(reader.finite_single()?))
            }
            CATEGORY => (Test::Category { code: reader.byte()? }, None),
            SET => {
                let mut words = [0; 4];
                for word in &mut words {
                    *word = reader.word()?;
                }
                if ensemble.sets.len() == MAX_SETS {
                    return Err(damaged("there are too many sets of categories"));
                }
                ensemble.sets.push(CodeSet(words));
                let index = ensemble.sets.len() as u16 - 1;
                (Test::Set { index }, None)
            }
            _ => return Err(damaged("an unknown kind of node")),
        };
        let column = reader.below(ensemble.columns.len())?;
        if threshold.is_some() == ensemble.is_category(column) {
            return Err(damaged("a node does not fit its column"));
        }
        let left = reader.below(end)? + index + 1;
        if left + 1 >= end {
            return Err(damaged("a node's child is outside the tree"));
        }
        if let Some(threshold) = threshold {
            self.numbers.push(Number {
                node: index as u32,
                column: column as u16,
                threshold,
                missing_left: tag & MISSING_LEFT != 0,
            });
        }
        Ok(Node::split(column as u16, test, left as u32))
    }

    /// Finds the edges that the nodes compare with, and gives each node its own.
    fn finish(mut self) -> Result<Ensemble, Error> {
        // All leaves know their rows, or none does: the model came from an older file once.
        match self.ensemble.rows.iter().filter(|&&rows| rows == 0).count() {
            0 => {}
            unknown if unknown == self.ensemble.rows.len() => self.ensemble.rows.clear(),
            _ => return Err(damaged("a leaf has no rows")),
        }
        let mut edges: Vec<Vec<f32>> = vec![Vec::new(); self.ensemble.columns.len()];
        for number in &self.numbers {
            edges[usize::from(number.column)].push(number.threshold);
        }
        for edges in &mut edges {
            edges.sort_unstable_by(f32::total_cmp);
            edges.dedup();
            if edges.len() > 255 {
                return Err(damaged("a column is compared with too many numbers"));
            }
        }
        for number in &self.numbers {
            let edges = &edges[usize::from(number.column)];
            let cut = edges.partition_point(|&edge| edge < number.threshold) as u8;
            if cut == 254 && number.missing_left {
                return Err(damaged("a node sends every row to the left"));
            }
            let test = Test::Numeric {
                cut,
                missing_left: number.missing_left,
            };
            let node = &mut self.ensemble.nodes[number.node as usize];
            *node = Node::split(number.column, test, node.next);
        }
        for (column, edges) in self.ensemble.columns.iter_mut().zip(edges) {
            if let Quantizer::Edges(slot) = column {
                *slot = edges;
            }
        }
        Ok(self.ensemble)
    }
}
