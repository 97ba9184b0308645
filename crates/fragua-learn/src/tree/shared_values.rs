//! The values of leaves, where most leaves say what others said before: of a forest's leaves nearly all hold one class.

use std::ops::Range;

/// Leaves are remembered by so many bits of a hash. Those that others push out are kept again when they come again.
const HASH_BITS: u32 = 16;

/// Something with bits that tell it from all others of its kind.
pub(crate) trait Bits: Copy {
    fn bits(&self) -> (u32, u64);
}

/// The values of leaves that differ, which are numbered as they come.
#[derive(Clone, Debug)]
pub(crate) struct SharedValues<V> {
    values: Vec<V>,
    /// Where the values of each leaf end.
    ends: Vec<u32>,
    /// For each hash, the leaf that came last; empty once no more come.
    recent: Vec<u32>,
}

impl<V: Bits> SharedValues<V> {
    pub(crate) fn new() -> Self {
        Self {
            values: Vec::new(),
            ends: Vec::new(),
            recent: vec![0; 1 << HASH_BITS],
        }
    }

    /// Returns the number of a leaf with these values, which is added if it is not there.
    pub(crate) fn number(&mut self, leaf: &[V]) -> u32 {
        // The golden ratio, so that bits which are near to each other end far apart.
        let hash = leaf.iter().map(V::bits).fold(0u64, |hash, (low, high)| {
            (hash ^ u64::from(low) << 32 ^ high).wrapping_mul(0x9E37_79B9_7F4A_7C15)
        });
        let slot = (hash >> (u64::BITS - HASH_BITS)) as usize;
        let recent = self.recent[slot];
        let is_known = (recent as usize) < self.ends.len() && {
            let known = self.of(recent as usize).iter().map(V::bits);
            known.eq(leaf.iter().map(V::bits))
        };
        if !is_known {
            self.recent[slot] = self.ends.len() as u32;
            self.values.extend_from_slice(leaf);
            self.ends.push(self.values.len() as u32);
        }
        self.recent[slot]
    }

    /// Forgets what only [`Self::number`] needs.
    pub(crate) fn close(&mut self) {
        self.recent = Vec::new();
        self.values.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    /// How many leaves there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Where the values of a leaf are.
    pub(crate) fn range(&self, leaf: usize) -> Range<usize> {
        let begin = leaf.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        begin..self.ends[leaf] as usize
    }

    pub(crate) fn of(&self, leaf: usize) -> &[V] {
        &self.values[self.range(leaf)]
    }

    /// The values of all leaves.
    pub(crate) fn values(&self) -> &[V] {
        &self.values
    }

    /// Where the values of some leaves end.
    pub(crate) fn ends(&self, leaves: Range<usize>) -> &[u32] {
        &self.ends[leaves]
    }

    pub(crate) fn into_values(mut self) -> Vec<V> {
        self.close();
        self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::ensemble::LeafValue;

    #[test]
    fn leaves_that_say_the_same_share_a_number() {
        let mut shared = SharedValues::new();
        let leaf = |class, value| LeafValue { class, value };
        let mut check = |leaf: &[LeafValue], number: u32| assert_eq!(shared.number(leaf), number, "{leaf:?}");
        check(&[], 0);
        check(&[leaf(1, 0.5)], 1);
        check(&[leaf(1, 0.5), leaf(2, 0.25)], 2);
        check(&[leaf(1, 0.5)], 1);
        check(&[leaf(1, 0.5), leaf(2, 0.25)], 2);
        check(&[leaf(1, -0.0)], 3);
        check(&[leaf(1, 0.0)], 4);
        check(&[], 0);
        assert_eq!(shared.of(2), [leaf(1, 0.5), leaf(2, 0.25)]);
        assert_eq!((shared.len(), shared.into_values().len()), (5, 5));
    }
}
