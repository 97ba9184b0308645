//! The file a pipeline is kept in.
//!
//! Magic, version, length and SHA-256 of the packed content, then the content packed by zlib. The checksum finds
//! accidents; nothing that follows it trusts the content: every length, position and kind is checked again.

mod calibration;
mod preparation;
mod svc;
mod trees;

use crate::codec::{Reader, Writer, damaged};
use crate::feature::{Feature, FeatureKind};
use crate::linear::{Design, Linear, Link};
use crate::model::{Model, Span};
use crate::naive_bayes::NaiveBayes;
use crate::{Error, Label, Pipeline};
use calibration::{read_calibration, write_calibration};
use preparation::{read_preparation, write_preparation};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use svc::{read_svc, write_svc};
use trees::{read_ensemble, write_ensemble};

/// Version of the file's layout.
pub(crate) const VERSION: u32 = 7;
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
    // 3 without the rows of leaves and calibration, version 4 without support vector machines, naive Bayes and
    // components, version 5 without the means that linear models are explained by, version 6 without
    // dates.
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
        Model::Linear { linear, link, .. } => {
            writer.byte(match link {
                Link::Softmax => 1,
                Link::OneAgainstRest => 4,
            });
            writer.doubles(&linear.coefficients);
            writer.doubles(&linear.means);
        }
        Model::Svc { svc, .. } => {
            writer.byte(6);
            write_svc(writer, svc);
        }
        Model::NaiveBayes { bayes, .. } => {
            writer.byte(5);
            writer.doubles(&bayes.constants);
            writer.doubles(&bayes.means);
            writer.doubles(&bayes.half_precisions);
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
            writer.doubles(&linear.means);
        }
    }
    write_calibration(writer, pipeline.calibration.as_ref());
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
    let preparation = read_preparation(reader, &features, version)?;
    let linear = |reader: &mut Reader<'_>, output_count: usize| {
        let design = Design::new(&preparation);
        let coefficients = reader.finite_doubles()?;
        if coefficients.len() != (design.width + 1) * output_count {
            return Err(damaged("the number of coefficients is wrong"));
        }
        let means = if version >= 6 {
            reader.finite_doubles()?
        } else {
            Vec::new()
        };
        if means.len() != design.width && !means.is_empty() {
            return Err(damaged("the number of means is wrong"));
        }
        let linear = Linear {
            output_count,
            coefficients,
            means,
        };
        Ok((linear, design))
    };
    let model = match (reader.byte()?, labels.len()) {
        (0, classes @ 2..) => Model::Trees(read_ensemble(reader, &preparation, classes, version)?),
        (1, classes @ 2..) => {
            let (linear, design) = linear(reader, classes)?;
            let link = Link::Softmax;
            Model::Linear { linear, design, link }
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
        (4, classes @ 2..) if version >= 5 => {
            let (linear, design) = linear(reader, classes)?;
            let link = Link::OneAgainstRest;
            Model::Linear { linear, design, link }
        }
        (5, classes @ 2..) if version >= 5 => {
            let design = Design::new(&preparation);
            let bayes = NaiveBayes {
                constants: reader.finite_doubles()?,
                means: reader.finite_doubles()?,
                half_precisions: reader.finite_doubles()?,
            };
            let expected = [classes, classes * design.width, classes * design.width];
            let counts = [&bayes.constants, &bayes.means, &bayes.half_precisions].map(Vec::len);
            if counts != expected {
                return Err(damaged("the number of means is wrong"));
            }
            Model::NaiveBayes { bayes, design }
        }
        (6, classes @ 2..) if version >= 5 => {
            let design = Design::new(&preparation);
            let svc = read_svc(reader, classes, design.width)?;
            Model::Svc { svc, design }
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
