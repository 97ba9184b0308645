//! The values of leaves, where most leaves say what others said before: of a forest's leaves nearly all hold one class.

use super::ensemble::LeafValue;

/// Places that are remembered, a power of two; leaves that others push out of them are kept again.
const REMEMBERED: usize = 1 << 16;

/// Values that grow as leaves come.
#[derive(Default)]
pub(crate) struct SharedValues {
    values: Vec<LeafValue>,
    /// Where values of each remainder of a hash were put last.
    places: Vec<u32>,
}

impl SharedValues {
    /// Returns where the values of a leaf begin, put there now or before.
    pub(crate) fn place(&mut self, leaf: &[LeafValue]) -> u32 {
        self.places.resize(REMEMBERED, 0);
        let bits = |value: &LeafValue| (value.class, value.value.to_bits());
        let hash = leaf.iter().map(bits).fold(0u64, |hash, (class, value)| {
            // The golden ratio, so that numbers which are near to each other end far apart.
            (hash ^ (u64::from(class) << 32 | u64::from(value))).wrapping_mul(0x9E37_79B9_7F4A_7C15)
        });
        let place = &mut self.places[(hash >> 48) as usize];
        let known = self.values.get(*place as usize..*place as usize + leaf.len());
        if !known.is_some_and(|known| known.iter().map(bits).eq(leaf.iter().map(bits))) {
            *place = self.values.len() as u32;
            self.values.extend_from_slice(leaf);
        }
        *place
    }

    pub(crate) fn into_values(mut self) -> Vec<LeafValue> {
        self.values.shrink_to_fit();
        self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_that_say_the_same_share_a_place() {
        let mut shared = SharedValues::default();
        let leaf = |class, value| LeafValue { class, value };
        let pure = shared.place(&[leaf(1, 0.5)]);
        let mixed = shared.place(&[leaf(1, 0.5), leaf(2, 0.25)]);
        assert_eq!((pure, mixed), (0, 1));
        assert_eq!(shared.place(&[leaf(1, 0.5)]), pure);
        assert_eq!(shared.place(&[leaf(1, 0.5), leaf(2, 0.25)]), mixed);
        assert_eq!(shared.place(&[leaf(1, -0.0)]), 3);
        assert_eq!(shared.place(&[leaf(1, 0.0)]), 4, "zeros of both signs");
        assert_eq!(shared.into_values().len(), 5);
    }
}
