//! The part of ONNX's protobuf messages that is needed here, encoded by hand.
//!
//! Field numbers are those of `onnx.proto` (IR version 8).

/// Element types of tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    Float = 1,
    Int64 = 7,
    String = 8,
    Bool = 9,
    Double = 11,
}

/// A protobuf message under construction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value > 127 {
            self.0.push(value as u8 | 128);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn int(mut self, field: u64, value: i64) -> Self {
        self.varint(field << 3);
        self.varint(value as u64);
        self
    }

    fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn float(mut self, field: u64, value: f32) -> Self {
        self.varint(field << 3 | 5);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    fn message(self, field: u64, message: &Message) -> Self {
        self.bytes(field, &message.0)
    }

    fn messages(self, field: u64, messages: &[Message]) -> Self {
        messages
            .iter()
            .fold(self, |whole, part| whole.message(field, part))
    }
}

/// A named attribute of a node.
pub(crate) mod attribute {
    use super::Message;

    fn attribute(name: &str, kind: i64) -> Message {
        Message::default().text(1, name).int(20, kind)
    }

    pub(crate) fn int(name: &str, value: i64) -> Message {
        attribute(name, 2).int(3, value)
    }

    pub(crate) fn float(name: &str, value: f32) -> Message {
        attribute(name, 1).float(2, value)
    }

    pub(crate) fn text(name: &str, value: &str) -> Message {
        attribute(name, 3).text(4, value)
    }

    pub(crate) fn graph(name: &str, graph: &Message) -> Message {
        attribute(name, 5).message(6, graph)
    }

    pub(crate) fn floats(name: &str, values: &[f32]) -> Message {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        attribute(name, 6).bytes(7, &bytes)
    }

    pub(crate) fn ints(name: &str, values: &[i64]) -> Message {
        let mut packed = Message::default();
        values.iter().for_each(|&value| packed.varint(value as u64));
        attribute(name, 7).message(8, &packed)
    }

    pub(crate) fn texts<S: AsRef<str>>(name: &str, values: &[S]) -> Message {
        values.iter().fold(attribute(name, 8), |message, value| {
            message.text(9, value.as_ref())
        })
    }
}

/// One operation; `domain` is empty for the standard operators.
pub(crate) fn node(
    operator: &str,
    domain: &str,
    inputs: &[&str],
    outputs: &[&str],
    attributes: &[Message],
) -> Message {
    let message = inputs
        .iter()
        .fold(Message::default(), |message, input| message.text(1, input));
    let message = outputs
        .iter()
        .fold(message, |message, output| message.text(2, output));
    let message = message
        .text(3, &format!("{operator}:{}", outputs[0]))
        .text(4, operator)
        .messages(5, attributes);
    if domain.is_empty() {
        message
    } else {
        message.text(7, domain)
    }
}

/// The type of an input or output; a dimension of -1 is the number of rows.
pub(crate) fn value(name: &str, element: Element, dimensions: &[i64]) -> Message {
    let dimension = |&size: &i64| match size {
        -1 => Message::default().text(2, "N"),
        size => Message::default().int(1, size),
    };
    let dimensions: Vec<Message> = dimensions.iter().map(dimension).collect();
    let shape = Message::default().messages(1, &dimensions);
    let tensor = Message::default().int(1, element as i64).message(2, &shape);
    Message::default()
        .text(1, name)
        .message(2, &Message::default().message(1, &tensor))
}

/// A constant.
pub(crate) mod tensor {
    use super::{Element, Message};

    fn tensor(name: &str, element: Element, dimensions: &[i64]) -> Message {
        let message = dimensions
            .iter()
            .fold(Message::default(), |message, &size| message.int(1, size));
        message.int(2, element as i64).text(8, name)
    }

    pub(crate) fn ints(name: &str, dimensions: &[i64], values: &[i64]) -> Message {
        raw(
            tensor(name, Element::Int64, dimensions),
            values.iter().flat_map(|value| value.to_le_bytes()),
        )
    }

    pub(crate) fn floats(name: &str, dimensions: &[i64], values: &[f32]) -> Message {
        raw(
            tensor(name, Element::Float, dimensions),
            values.iter().flat_map(|value| value.to_le_bytes()),
        )
    }

    pub(crate) fn doubles(name: &str, dimensions: &[i64], values: &[f64]) -> Message {
        raw(
            tensor(name, Element::Double, dimensions),
            values.iter().flat_map(|value| value.to_le_bytes()),
        )
    }

    pub(crate) fn bools(name: &str, dimensions: &[i64], values: impl Iterator<Item = bool>) -> Message {
        raw(tensor(name, Element::Bool, dimensions), values.map(u8::from))
    }

    pub(crate) fn texts<S: AsRef<str>>(name: &str, dimensions: &[i64], values: &[S]) -> Message {
        values
            .iter()
            .fold(tensor(name, Element::String, dimensions), |message, value| {
                message.text(6, value.as_ref())
            })
    }

    fn raw(message: Message, bytes: impl Iterator<Item = u8>) -> Message {
        let bytes: Vec<u8> = bytes.collect();
        message.bytes(9, &bytes)
    }
}

/// Nodes with their constants, inputs and outputs.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Message>,
    pub(crate) constants: Vec<Message>,
    pub(crate) inputs: Vec<Message>,
    pub(crate) outputs: Vec<Message>,
}

impl Graph {
    pub(crate) fn encode(&self, name: &str) -> Message {
        Message::default()
            .messages(1, &self.nodes)
            .text(2, name)
            .messages(5, &self.constants)
            .messages(11, &self.inputs)
            .messages(12, &self.outputs)
    }

    /// Adds a standard operator with one output.
    pub(crate) fn add(&mut self, operator: &str, inputs: &[&str], output: &str, attributes: &[Message]) {
        self.nodes.push(node(operator, "", inputs, &[output], attributes));
    }
}

/// Returns the bytes of a model file: opset 17 and version 3 of the machine-learning operators.
pub(crate) fn model(graph: &Graph) -> Vec<u8> {
    let opset = |domain: &str, version| Message::default().text(1, domain).int(2, version);
    Message::default()
        .int(1, 8)
        .text(2, "fragua")
        .text(3, env!("CARGO_PKG_VERSION"))
        .message(7, &graph.encode("fragua"))
        .message(8, &opset("", 17))
        .message(8, &opset("ai.onnx.ml", 3))
        .0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_lengths_follow_the_wire_format() {
        assert_eq!(Message::default().int(1, 300).0, [0x08, 0xAC, 0x02]);
        assert_eq!(Message::default().text(2, "ab").0, [0x12, 2, b'a', b'b']);
        let negative = Message::default().int(1, -1).0;
        assert_eq!((negative.len(), negative[10]), (11, 1));
    }
}
