//! One row through many trees at once, so that the processor waits for many nodes together.

/// Trees that are walked at once: nodes far apart, so more of them are waited for together.
const LANES: usize = 16;

/// Walks from each of `roots` until `step` says that there is nothing further; a lane whose tree is done takes the next at
/// once, so that none waits for the deepest of them. Trees end in any order.
#[inline]
pub(crate) fn walk_all<At: Copy>(
    mut roots: impl Iterator<Item = At>,
    mut step: impl FnMut(At) -> Option<At>,
) {
    let Some(first) = roots.next() else { return };
    let mut lanes = [first; LANES];
    let mut busy = 1;
    for (lane, root) in lanes[1..].iter_mut().zip(&mut roots) {
        *lane = root;
        busy += 1;
    }
    while busy > 0 {
        for lane in (0..busy).rev() {
            lanes[lane] = match step(lanes[lane]).or_else(|| roots.next()) {
                Some(at) => at,
                None => {
                    busy -= 1;
                    lanes[busy]
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tree_is_walked_to_its_end_once() {
        for count in [0, 1, 2, LANES - 1, LANES, LANES + 1, 3 * LANES + 5] {
            let mut steps = vec![0; count];
            // The tree of number `n` has `n % 7` nodes before its leaf.
            walk_all((0..count).map(|tree| (tree, 0)), |(tree, depth)| {
                steps[tree] += 1;
                (depth < tree % 7).then_some((tree, depth + 1))
            });
            let expected: Vec<usize> = (0..count).map(|tree| tree % 7 + 1).collect();
            assert_eq!(steps, expected);
        }
    }
}
