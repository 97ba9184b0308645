//! ONNX's protobuf messages, read by hand: only the dozen fields that are needed, without copies of what is not, and with
//! a refusal in words of what is not supported. Field numbers are those of `onnx.proto`.

use super::tensor::{Data, MAX_DIMENSIONS, Tensor};
use std::collections::HashMap;
use std::sync::Arc;

/// Most nodes, constants, inputs and outputs of a graph, each.
const MAX_ENTRIES: usize = 50_000;

/// A field of a message.
enum Wire<'a> {
    Number(u64),
    Double([u8; 8]),
    Bytes(&'a [u8]),
    Float([u8; 4]),
}

/// What is left of a message.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    #[inline]
    fn varint(&mut self) -> Result<u64, String> {
        if let Some((&byte @ ..128, rest)) = self.0.split_first() {
            self.0 = rest;
            return Ok(u64::from(byte));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Result<u64, String> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or("a number is cut off")?;
            self.0 = rest;
            value |= u64::from(byte & 127).checked_shl(shift).unwrap_or(0);
            if byte < 128 {
                return Ok(value);
            }
        }
        Err("a number is too long".to_owned())
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (head, rest) = self.0.split_first_chunk().ok_or("a field is cut off")?;
        self.0 = rest;
        Ok(*head)
    }

    /// Takes the key of a field of one byte, where that is what comes.
    #[inline]
    fn comes(&mut self, key: u8) -> bool {
        match self.0.split_first() {
            Some((&byte, rest)) if byte == key => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    /// Adds the numbers that come as fields of their own with this key: files of trees have millions of them.
    fn more_ints(&mut self, key: u8, numbers: &mut Vec<i64>) -> Result<(), String> {
        numbers.reserve(self.0.len() / 2);
        while self.comes(key) {
            numbers.push(self.varint()? as i64);
        }
        Ok(())
    }

    /// As [`Self::more_ints`], for numbers of 32 bits.
    fn more_floats(&mut self, key: u8, numbers: &mut Vec<f32>) -> Result<(), String> {
        numbers.reserve(self.0.len() / 5);
        while self.comes(key) {
            numbers.push(f32::from_le_bytes(self.chunk()?));
        }
        Ok(())
    }

    fn field(&mut self) -> Result<(u64, Wire<'a>), String> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Wire::Number(self.varint()?),
            1 => Wire::Double(self.chunk()?),
            2 => {
                let length = usize::try_from(self.varint()?).ok();
                let split = length.and_then(|length| self.0.split_at_checked(length));
                let (head, rest) = split.ok_or("a field leads behind the end")?;
                self.0 = rest;
                Wire::Bytes(head)
            }
            5 => Wire::Float(self.chunk()?),
            kind => return Err(format!("a field is of kind {kind}, which no such file has")),
        };
        Ok((key >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Wire<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Wire<'a> {
    fn bytes(&self) -> Result<&'a [u8], String> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err("a field is a number, which should be a text or a message".to_owned()),
        }
    }

    fn text(&self) -> Result<&'a str, String> {
        std::str::from_utf8(self.bytes()?).map_err(|_| "a text is not UTF-8".to_owned())
    }

    fn int(&self) -> Result<i64, String> {
        match self {
            Self::Number(number) => Ok(*number as i64),
            _ => Err("a field is no whole number".to_owned()),
        }
    }

    fn float(&self) -> Result<f32, String> {
        match self {
            Self::Float(bytes) => Ok(f32::from_le_bytes(*bytes)),
            _ => Err("a field is no number of 32 bits".to_owned()),
        }
    }

    /// Adds one number, or many behind one another.
    fn ints(&self, numbers: &mut Vec<i64>) -> Result<(), String> {
        let Self::Bytes(packed) = self else {
            numbers.push(self.int()?);
            return Ok(());
        };
        let mut packed = Fields(packed);
        while !packed.0.is_empty() {
            numbers.push(packed.varint()? as i64);
        }
        Ok(())
    }

    fn floats(&self, numbers: &mut Vec<f32>) -> Result<(), String> {
        match self {
            Self::Bytes(packed) => numbers.extend(singles(packed)?),
            single => numbers.push(single.float()?),
        }
        Ok(())
    }

    fn doubles(&self, numbers: &mut Vec<f64>) -> Result<(), String> {
        match self {
            Self::Bytes(packed) => numbers.extend(doubles(packed)?),
            Self::Double(bytes) => numbers.push(f64::from_le_bytes(*bytes)),
            _ => return Err("a field is no number of 64 bits".to_owned()),
        }
        Ok(())
    }
}

fn words<const N: usize>(bytes: &[u8]) -> Result<&[[u8; N]], String> {
    let (words, rest) = bytes.as_chunks::<N>();
    if rest.is_empty() {
        Ok(words)
    } else {
        Err("a list of numbers is cut off".to_owned())
    }
}

fn singles(bytes: &[u8]) -> Result<Vec<f32>, String> {
    Ok(words(bytes)?
        .iter()
        .map(|word| f32::from_le_bytes(*word))
        .collect())
}

fn doubles(bytes: &[u8]) -> Result<Vec<f64>, String> {
    Ok(words(bytes)?
        .iter()
        .map(|word| f64::from_le_bytes(*word))
        .collect())
}

fn longs(bytes: &[u8]) -> Result<Vec<i64>, String> {
    Ok(words(bytes)?
        .iter()
        .map(|word| i64::from_le_bytes(*word))
        .collect())
}

/// A whole file.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// Version of each operator set; the standard one is called "".
    pub(super) versions: HashMap<String, i64>,
    pub(super) nodes: Vec<Node>,
    pub(super) constants: Vec<(String, Tensor)>,
    pub(super) inputs: Vec<Input>,
    pub(super) outputs: Vec<String>,
}

/// One operation.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) operator: String,
    pub(super) domain: String,
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    pub(super) attributes: Attributes,
}

/// What goes in.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) element: Element,
    /// The sizes, `None` where any will do; `None` in all when the number of dimensions is open too.
    pub(super) shape: Option<Vec<Option<usize>>>,
}

/// Types of what goes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    Float,
    Double,
    Integer,
    Bool,
    Text,
}

impl Element {
    pub(super) fn of(code: i64) -> Result<Self, String> {
        Ok(match code {
            1 => Self::Float,
            2..=7 => Self::Integer,
            8 => Self::Text,
            9 => Self::Bool,
            11 => Self::Double,
            10 | 16 => return Err("16-bit numbers are not supported; convert it to float".to_owned()),
            code => return Err(format!("elements of type {code} are not supported")),
        })
    }
}

/// Attributes of a node by their names.
#[derive(Debug, Default)]
pub(super) struct Attributes(HashMap<String, Attribute>);

#[derive(Debug)]
enum Attribute {
    Float(f32),
    Int(i64),
    Text(String),
    Tensor(Tensor),
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    Texts(Vec<Arc<str>>),
}

macro_rules! getters {
    ($($get:ident, $take:ident, $kind:ident, $value:ty;)*) => {
        impl Attributes {$(
            #[allow(dead_code, reason = "all kinds have the same getters")]
            pub(super) fn $get(&self, name: &str) -> Result<Option<&$value>, String> {
                match self.0.get(name) {
                    None => Ok(None),
                    Some(Attribute::$kind(value)) => Ok(Some(value)),
                    Some(_) => Err(format!("its attribute {name} is of another type")),
                }
            }

            #[allow(dead_code, reason = "all kinds have the same getters")]
            pub(super) fn $take(&mut self, name: &str) -> Result<Option<$value>, String> {
                match self.0.remove(name) {
                    None => Ok(None),
                    Some(Attribute::$kind(value)) => Ok(Some(value)),
                    Some(_) => Err(format!("its attribute {name} is of another type")),
                }
            }
        )*}
    };
}
getters! {
    float, take_float, Float, f32;
    int, take_int, Int, i64;
    text, take_text, Text, String;
    tensor, take_tensor, Tensor, Tensor;
    floats, take_floats, Floats, Vec<f32>;
    ints, take_ints, Ints, Vec<i64>;
    texts, take_texts, Texts, Vec<Arc<str>>;
}

impl Attributes {
    pub(super) fn int_or(&self, name: &str, default: i64) -> Result<i64, String> {
        Ok(self.int(name)?.copied().unwrap_or(default))
    }

    pub(super) fn float_or(&self, name: &str, default: f32) -> Result<f32, String> {
        Ok(self.float(name)?.copied().unwrap_or(default))
    }

    pub(super) fn text_or<'a>(&'a self, name: &str, default: &'a str) -> Result<&'a str, String> {
        Ok(self.text(name)?.map_or(default, String::as_str))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

impl Model {
    /// Reads a file.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut model = Self::default();
        let mut has_graph = false;
        for field in Fields(bytes) {
            match field? {
                (7, graph) => {
                    has_graph = true;
                    model.read_graph(graph.bytes()?)?;
                }
                (8, version) => {
                    let (mut domain, mut number) = (String::new(), 0);
                    for field in Fields(version.bytes()?) {
                        match field? {
                            (1, value) => domain = value.text()?.to_owned(),
                            (2, value) => number = value.int()?,
                            _ => {}
                        }
                    }
                    let domain = if domain == "ai.onnx" {
                        String::new()
                    } else {
                        domain
                    };
                    model.versions.insert(domain, number);
                }
                (25, _) => {
                    return Err(
                        "it defines functions of its own, as KNNImputer does, which are not supported"
                            .to_owned(),
                    );
                }
                _ => {}
            }
        }
        if has_graph {
            Ok(model)
        } else {
            Err("it has no graph, so it is no ONNX model".to_owned())
        }
    }

    fn read_graph(&mut self, bytes: &[u8]) -> Result<(), String> {
        for field in Fields(bytes) {
            match field? {
                (1, node) => self.nodes.push(Node::read(node.bytes()?)?),
                (5, tensor) => self.constants.push(read_tensor(tensor.bytes()?)?),
                (11, input) => self.inputs.push(Input::read(input.bytes()?)?),
                (12, output) => self.outputs.push(Input::name(output.bytes()?)?),
                (15, _) => return Err("it has sparse constants, which are not supported".to_owned()),
                _ => {}
            }
            let counts = [
                self.nodes.len(),
                self.constants.len(),
                self.inputs.len(),
                self.outputs.len(),
            ];
            if counts.iter().any(|&count| count > MAX_ENTRIES) {
                return Err(format!(
                    "its graph has more than {MAX_ENTRIES} nodes, constants or inputs"
                ));
            }
        }
        // Older files list constants among the inputs too.
        let constants: std::collections::HashSet<&str> =
            self.constants.iter().map(|(name, _)| name.as_str()).collect();
        self.inputs
            .retain(|input| !constants.contains(input.name.as_str()));
        Ok(())
    }
}

impl Node {
    fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut node = Self::default();
        let mut attributes = Vec::new();
        for field in Fields(bytes) {
            match field? {
                (1, input) => node.inputs.push(input.text()?.to_owned()),
                (2, output) => node.outputs.push(output.text()?.to_owned()),
                (3, name) => node.name = name.text()?.to_owned(),
                (4, operator) => node.operator = operator.text()?.to_owned(),
                (5, attribute) => attributes.push(attribute.bytes()?),
                (7, domain) => node.domain = domain.text()?.to_owned(),
                _ => {}
            }
        }
        if node.domain == "ai.onnx" {
            node.domain.clear();
        }
        for bytes in attributes {
            let attribute = read_attribute(bytes).map_err(|error| node.blame(&error))?;
            if let Some((name, attribute)) = attribute {
                node.attributes.0.insert(name, attribute);
            }
        }
        Ok(node)
    }

    /// An error of this node.
    pub(super) fn blame(&self, error: &str) -> String {
        let name = crate::table::shorten(&self.name);
        format!(
            "node {name:?} ({}): {error}",
            crate::table::shorten(&self.operator)
        )
    }
}

/// Texts, of which equal ones near each other are kept once: a tree has two kinds of nodes and thousands of nodes.
#[derive(Default)]
struct Texts {
    all: Vec<Arc<str>>,
    /// Where the last different ones are.
    recent: [usize; 4],
}

impl Texts {
    fn push(&mut self, text: &str) {
        let known = self
            .recent
            .iter()
            .find_map(|&at| self.all.get(at).filter(|known| ***known == *text));
        match known {
            Some(known) => self.all.push(Arc::clone(known)),
            None => {
                self.recent.rotate_right(1);
                self.recent[0] = self.all.len();
                self.all.push(text.into());
            }
        }
    }
}

/// Returns the name and the value; none where there is no value.
fn read_attribute(bytes: &[u8]) -> Result<Option<(String, Attribute)>, String> {
    let mut name = String::new();
    let mut kind = 0;
    let (mut float, mut int, mut text, mut tensor) = (0.0, 0, String::new(), None);
    let (mut floats, mut ints, mut texts) = (Vec::new(), Vec::new(), Texts::default());
    let mut fields = Fields(bytes);
    while let Some(field) = fields.next() {
        match field? {
            (1, value) => name = value.text()?.to_owned(),
            (2, value) => float = value.float()?,
            (3, value) => int = value.int()?,
            (4, value) => text = value.text()?.to_owned(),
            (5, value) => tensor = Some(read_tensor(value.bytes()?)?.1),
            (6 | 11, _) => {
                return Err("it holds a graph of its own (If, Loop, Scan), which is not supported; convert it without \
                     KNNImputer, and neighbors with options={\"optim\": \"cdist\"}"
                    .to_owned());
            }
            (7, value) => {
                value.floats(&mut floats)?;
                fields.more_floats(7 << 3 | 5, &mut floats)?;
            }
            (8, value) => {
                value.ints(&mut ints)?;
                fields.more_ints(8 << 3, &mut ints)?;
            }
            (9, value) => texts.push(value.text()?),
            (20, value) => kind = value.int()?,
            _ => {}
        }
    }
    let attribute = match kind {
        1 => Attribute::Float(float),
        2 => Attribute::Int(int),
        3 => Attribute::Text(text),
        4 => match tensor {
            Some(tensor) => Attribute::Tensor(tensor),
            None => return Ok(None),
        },
        6 => Attribute::Floats(floats),
        7 => Attribute::Ints(ints),
        8 => Attribute::Texts(texts.all),
        kind => {
            return Err(format!(
                "its attribute {name} is of type {kind}, which is not supported"
            ));
        }
    };
    Ok(Some((name, attribute)))
}

/// Returns the name and the tensor.
fn read_tensor(bytes: &[u8]) -> Result<(String, Tensor), String> {
    let mut name = String::new();
    let (mut shape, mut kind, mut raw) = (Vec::new(), 0, None);
    let (mut floats, mut ints, mut doubled) = (Vec::new(), Vec::new(), Vec::new());
    let mut texts: Vec<Arc<str>> = Vec::new();
    for field in Fields(bytes) {
        match field? {
            (1, value) => value.ints(&mut shape)?,
            (2, value) => kind = value.int()?,
            (4, value) => value.floats(&mut floats)?,
            (5 | 7, value) => value.ints(&mut ints)?,
            (6, value) => texts.push(value.text()?.into()),
            (8, value) => name = value.text()?.to_owned(),
            (9, value) => raw = Some(value.bytes()?),
            (10, value) => value.doubles(&mut doubled)?,
            (13, _) => {
                return Err(
                    "it keeps numbers in other files (external data); save it as one file".to_owned(),
                );
            }
            _ => {}
        }
    }
    let blame = |error: String| format!("constant {:?}: {error}", crate::table::shorten(&name));
    let data = match (Element::of(kind).map_err(blame)?, raw) {
        (Element::Float, None) => Data::F32(floats),
        (Element::Float, Some(raw)) => Data::F32(singles(raw)?),
        (Element::Double, None) => Data::F64(doubled),
        (Element::Double, Some(raw)) => Data::F64(doubles(raw)?),
        (Element::Text, _) => Data::Text(texts),
        (Element::Bool, None) => Data::Bool(ints.iter().map(|&number| number != 0).collect()),
        (Element::Bool, Some(raw)) => Data::Bool(raw.iter().map(|&byte| byte != 0).collect()),
        (Element::Integer, None) => Data::I64(ints),
        (Element::Integer, Some(raw)) => Data::I64(match kind {
            2 => raw.iter().map(|&byte| i64::from(byte)).collect(),
            3 => raw.iter().map(|&byte| i64::from(byte as i8)).collect(),
            4 => words(raw)?
                .iter()
                .map(|&word| i64::from(u16::from_le_bytes(word)))
                .collect(),
            5 => words(raw)?
                .iter()
                .map(|&word| i64::from(i16::from_le_bytes(word)))
                .collect(),
            6 => words(raw)?
                .iter()
                .map(|&word| i64::from(i32::from_le_bytes(word)))
                .collect(),
            _ => longs(raw)?,
        }),
    };
    let shape: Option<Vec<usize>> = shape.into_iter().map(|size| usize::try_from(size).ok()).collect();
    let shape = shape.ok_or_else(|| blame("it has a negative size".to_owned()))?;
    let expected = shape
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size));
    if expected != Some(data.len()) || shape.len() > MAX_DIMENSIONS {
        return Err(blame(format!(
            "it has {} values for the shape {shape:?}",
            data.len()
        )));
    }
    Ok((name, Tensor { shape, data }))
}

impl Input {
    fn name(bytes: &[u8]) -> Result<String, String> {
        let mut name = String::new();
        for field in Fields(bytes) {
            if let (1, value) = field? {
                name = value.text()?.to_owned();
            }
        }
        Ok(name)
    }

    fn read(bytes: &[u8]) -> Result<Self, String> {
        let name = Self::name(bytes)?;
        let blame = |error: &str| format!("input {:?}: {error}", crate::table::shorten(&name));
        let mut tensor = None;
        for field in Fields(bytes) {
            let (2, kind) = field? else { continue };
            for field in Fields(kind.bytes()?) {
                match field? {
                    (1, value) => tensor = Some(value.bytes()?),
                    (4 | 5 | 8 | 9, _) => return Err(blame("it is no tensor")),
                    _ => {}
                }
            }
        }
        let (mut element, mut shape) = (0, None);
        for field in Fields(tensor.ok_or_else(|| blame("its type is missing"))?) {
            match field? {
                (1, value) => element = value.int()?,
                (2, value) => shape = Some(read_shape(value.bytes()?)?),
                _ => {}
            }
        }
        Ok(Self {
            element: Element::of(element).map_err(|error| blame(&error))?,
            shape,
            name,
        })
    }
}

fn read_shape(bytes: &[u8]) -> Result<Vec<Option<usize>>, String> {
    let mut shape = Vec::new();
    for field in Fields(bytes) {
        let (1, dimension) = field? else { continue };
        let mut size = None;
        for field in Fields(dimension.bytes()?) {
            if let (1, value) = field? {
                size = usize::try_from(value.int()?).ok().filter(|&size| size > 0);
            }
        }
        shape.push(size);
    }
    Ok(shape)
}
