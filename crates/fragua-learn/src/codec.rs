//! Little-endian bytes, read with every length checked against what is left.

use crate::Error;

#[derive(Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn flag(&mut self, value: bool) {
        self.byte(u8::from(value));
    }

    /// Seven bits a byte, the lowest first.
    pub(crate) fn number(&mut self, mut value: u64) {
        while value > 127 {
            self.byte(value as u8 | 128);
            value >>= 7;
        }
        self.byte(value as u8);
    }

    pub(crate) fn count(&mut self, value: usize) {
        self.number(value as u64);
    }

    pub(crate) fn text(&mut self, value: &str) {
        self.count(value.len());
        self.0.extend_from_slice(value.as_bytes());
    }

    pub(crate) fn single(&mut self, value: f32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn double(&mut self, value: f64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn singles(&mut self, values: &[f32]) {
        self.count(values.len());
        values.iter().for_each(|&value| self.single(value));
    }

    pub(crate) fn doubles(&mut self, values: &[f64]) {
        self.count(values.len());
        values.iter().for_each(|&value| self.double(value));
    }
}

pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

pub(crate) fn damaged(what: &str) -> Error {
    Error::PipelineFile(format!("damaged: {what}"))
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (head, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or_else(|| damaged("it ends too early"))?;
        self.0 = rest;
        Ok(*head)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Error> {
        Ok(self.take::<1>()?[0])
    }

    /// Reads 64 bits.
    pub(crate) fn word(&mut self) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    pub(crate) fn flag(&mut self) -> Result<bool, Error> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(damaged("neither yes nor no")),
        }
    }

    pub(crate) fn number(&mut self) -> Result<u64, Error> {
        let mut value = 0u64;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return Ok(value);
            }
        }
        Err(damaged("a number is too long"))
    }

    /// Reads a number that must be below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> Result<usize, Error> {
        let value = self.number()?;
        usize::try_from(value)
            .ok()
            .filter(|&value| value < bound)
            .ok_or_else(|| damaged("a position is out of range"))
    }

    /// Reads how many items of at least `item_bytes` follow; more than can follow is an error.
    pub(crate) fn count(&mut self, item_bytes: usize) -> Result<usize, Error> {
        let value = self.number()?;
        let most = self.0.len() / item_bytes.max(1);
        usize::try_from(value)
            .ok()
            .filter(|&value| value <= most)
            .ok_or_else(|| damaged("a list is longer than the file"))
    }

    pub(crate) fn text(&mut self) -> Result<String, Error> {
        let length = self.count(1)?;
        let (head, rest) = self.0.split_at(length);
        self.0 = rest;
        String::from_utf8(head.to_vec()).map_err(|_| damaged("a text is not UTF-8"))
    }

    pub(crate) fn single(&mut self) -> Result<f32, Error> {
        Ok(f32::from_le_bytes(self.take()?))
    }

    pub(crate) fn double(&mut self) -> Result<f64, Error> {
        Ok(f64::from_le_bytes(self.take()?))
    }

    pub(crate) fn finite_single(&mut self) -> Result<f32, Error> {
        Some(self.single()?)
            .filter(|value| value.is_finite())
            .ok_or_else(|| damaged("a number is not finite"))
    }

    pub(crate) fn finite_double(&mut self) -> Result<f64, Error> {
        Some(self.double()?)
            .filter(|value| value.is_finite())
            .ok_or_else(|| damaged("a number is not finite"))
    }

    pub(crate) fn singles(&mut self) -> Result<Vec<f32>, Error> {
        let count = self.count(4)?;
        (0..count).map(|_| self.single()).collect()
    }

    pub(crate) fn finite_doubles(&mut self) -> Result<Vec<f64>, Error> {
        let count = self.count(8)?;
        (0..count).map(|_| self.finite_double()).collect()
    }
}
