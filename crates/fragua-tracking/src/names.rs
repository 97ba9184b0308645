//! Names for runs that have none.

use rand::Rng;
use rand::seq::IndexedRandom;

const ADJECTIVES: &[&str] = &[
    "amber", "brave", "calm", "clever", "crisp", "eager", "early", "gentle", "glowing", "golden", "hardy",
    "honest", "humble", "keen", "lively", "lucky", "mellow", "nimble", "patient", "polished", "quiet",
    "rapid", "rustic", "silver", "steady", "sunny", "tempered", "vivid", "warm", "wise",
];
const NOUNS: &[&str] = &[
    "anvil", "aspen", "badger", "bellows", "birch", "canyon", "cedar", "chisel", "condor", "ember", "falcon",
    "fir", "forge", "hammer", "heron", "ingot", "larch", "lynx", "marten", "meadow", "otter", "pine",
    "quarry", "ridge", "smith", "spark", "spruce", "tongs", "valley", "willow",
];

/// Returns a name such as `steady-spruce-417`.
pub(crate) fn invent() -> String {
    let mut generator = rand::rng();
    let adjective = ADJECTIVES.choose(&mut generator).copied().unwrap_or("calm");
    let noun = NOUNS.choose(&mut generator).copied().unwrap_or("forge");
    format!("{adjective}-{noun}-{}", generator.random_range(0..1000))
}
