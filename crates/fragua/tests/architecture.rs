//! The arrows between our crates, as `docs/ARCHITECTURE.md` draws them. A new arrow edits the table below, so that it is
//! seen in review.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// Each crate and those of ours that it may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    ("fragua-base", &[]),
    ("fragua-learn", &[]),
    ("fragua-webhook", &[]),
    ("fragua-database", &["fragua-base"]),
    ("fragua-auth", &["fragua-base", "fragua-database"]),
    (
        "fragua-storage",
        &["fragua-auth", "fragua-base", "fragua-database", "fragua-webhook"],
    ),
    (
        "fragua-tracking",
        &[
            "fragua-auth",
            "fragua-base",
            "fragua-database",
            "fragua-storage",
            "fragua-webhook",
        ],
    ),
    (
        "fragua-orchestrator",
        &[
            "fragua-auth",
            "fragua-base",
            "fragua-database",
            "fragua-storage",
            "fragua-webhook",
        ],
    ),
    (
        "fragua-serving",
        &[
            "fragua-auth",
            "fragua-base",
            "fragua-database",
            "fragua-learn",
            "fragua-storage",
            "fragua-tracking",
        ],
    ),
    (
        "fragua-web",
        &[
            "fragua-auth",
            "fragua-base",
            "fragua-orchestrator",
            "fragua-serving",
            "fragua-storage",
            "fragua-tracking",
        ],
    ),
    (
        "fragua",
        &[
            "fragua-auth",
            "fragua-base",
            "fragua-database",
            "fragua-learn",
            "fragua-orchestrator",
            "fragua-serving",
            "fragua-storage",
            "fragua-tracking",
            "fragua-web",
        ],
    ),
    ("xtask", &[]),
];

/// What a crate must never reach, over however many arrows.
const NEVER: &[(&str, &[&str])] = &[
    (
        "fragua-orchestrator",
        &["fragua-tracking", "fragua-learn", "fragua-serving"],
    ),
    (
        "fragua-tracking",
        &["fragua-orchestrator", "fragua-learn", "fragua-serving"],
    ),
    ("fragua-storage", &["fragua-tracking", "fragua-orchestrator"]),
];

/// Crates that are pure, and what they would stop to be pure with.
const PURE: &[&str] = &["fragua-base", "fragua-learn"];
const IMPURE: &[&str] = &[
    "async-trait",
    "axum",
    "object_store",
    "reqwest",
    "sea-orm",
    "sea-orm-migration",
    "sqlx",
    "tokio",
];

/// One crate's manifest.
struct Manifest {
    folder: PathBuf,
    table: Table,
}

impl Manifest {
    fn read(folder: &Path) -> Self {
        let path = folder.join("Cargo.toml");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let table = text
            .parse()
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self {
            folder: folder.to_owned(),
            table,
        }
    }

    fn name(&self) -> &str {
        self.table["package"]["name"]
            .as_str()
            .expect("a package has a name")
    }

    /// Returns the tables named `kind`, those for one platform among them.
    fn tables<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Table> {
        let platforms = self.table.get("target").and_then(Value::as_table);
        let of_platforms = platforms
            .into_iter()
            .flat_map(|platforms| platforms.values())
            .filter_map(Value::as_table);
        [&self.table]
            .into_iter()
            .chain(of_platforms)
            .filter_map(move |table| table.get(kind)?.as_table())
    }

    fn dependencies(&self) -> BTreeSet<&str> {
        let kinds = ["dependencies", "build-dependencies"];
        kinds
            .into_iter()
            .flat_map(|kind| self.tables(kind))
            .flat_map(Table::keys)
            .map(String::as_str)
            .collect()
    }

    fn test_dependencies(&self) -> BTreeSet<&str> {
        self.tables("dev-dependencies")
            .flat_map(Table::keys)
            .map(String::as_str)
            .collect()
    }
}

fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("the crate is at crates/fragua")
}

fn manifests() -> BTreeMap<String, Manifest> {
    let crates = fs::read_dir(root().join("crates")).expect("there is a folder of crates");
    let crates = crates.map(|entry| entry.expect("the folder can be listed").path());
    let folders = crates.filter(|path| path.is_dir()).chain([root().join("xtask")]);
    let manifests = folders.map(|folder| Manifest::read(&folder));
    manifests
        .map(|manifest| (manifest.name().to_owned(), manifest))
        .collect()
}

fn arrows() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    ARROWS
        .iter()
        .map(|(from, to)| (*from, to.iter().copied().collect()))
        .collect()
}

fn ours<'a>(names: &BTreeSet<&'a str>) -> BTreeSet<&'a str> {
    names
        .iter()
        .copied()
        .filter(|name| *name == "fragua" || name.starts_with("fragua-") || *name == "xtask")
        .collect()
}

/// Returns all crates of ours that `from` reaches over arrows of the manifests.
fn reached<'a>(manifests: &'a BTreeMap<String, Manifest>, from: &'a str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(name) = open.pop() {
        for next in ours(&manifests[name].dependencies()) {
            if reached.insert(next) {
                open.push(next);
            }
        }
    }
    reached
}

#[test]
fn every_arrow_is_in_the_table() {
    let (manifests, arrows) = (manifests(), arrows());
    let crates: BTreeSet<&str> = manifests.keys().map(String::as_str).collect();
    assert_eq!(
        crates,
        arrows.keys().copied().collect(),
        "the table lists each crate"
    );
    for (name, manifest) in &manifests {
        let allowed = &arrows[name.as_str()];
        let forbidden: Vec<_> = ours(&manifest.dependencies())
            .difference(allowed)
            .copied()
            .collect();
        assert!(forbidden.is_empty(), "{name} must not depend on {forbidden:?}");
    }
}

#[test]
fn some_crates_never_reach_each_other() {
    let manifests = manifests();
    for (name, never) in NEVER {
        let found = reached(&manifests, name);
        for other in *never {
            assert!(!found.contains(other), "{name} reaches {other}");
        }
    }
    for name in manifests.keys().filter(|name| name.as_str() != "fragua") {
        assert!(
            !reached(&manifests, name).contains("fragua-web"),
            "{name} reaches fragua-web"
        );
    }
}

/// Tests may use what the crate reaches anyway, and itself with its testing features.
#[test]
fn tests_reach_no_further_than_their_crate() {
    let manifests = manifests();
    for (name, manifest) in &manifests {
        let mut allowed = reached(&manifests, name);
        allowed.insert(name);
        let forbidden: Vec<_> = ours(&manifest.test_dependencies())
            .difference(&allowed)
            .copied()
            .collect();
        assert!(
            forbidden.is_empty(),
            "tests of {name} must not depend on {forbidden:?}"
        );
    }
}

#[test]
fn pure_crates_stay_pure_and_one_crate_knows_the_databases() {
    let manifests = manifests();
    for name in PURE {
        let dependencies = manifests[*name].dependencies();
        for impure in IMPURE {
            assert!(
                !dependencies.contains(impure),
                "{name} must not depend on {impure}"
            );
        }
    }
    for (name, manifest) in manifests
        .iter()
        .filter(|(name, _)| name.as_str() != "fragua-database")
    {
        assert!(
            !manifest.dependencies().contains("sqlx"),
            "{name} must leave sqlx to fragua-database"
        );
    }
}

#[test]
fn versions_stand_in_the_root_manifest_alone() {
    for (name, manifest) in &manifests() {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (dependency, value) in manifest.tables(kind).flatten() {
                let is_inherited = value.get("workspace").and_then(Value::as_bool) == Some(true);
                assert!(is_inherited, "{name}: write `{dependency}.workspace = true`");
            }
        }
        for key in ["version", "edition", "rust-version", "license", "publish"] {
            let field = manifest.table["package"]
                .get(key)
                .and_then(|value| value.get("workspace"));
            assert_eq!(
                field.and_then(Value::as_bool),
                Some(true),
                "{name}: write `{key}.workspace = true`"
            );
        }
        let lints = manifest
            .table
            .get("lints")
            .and_then(|lints| lints.get("workspace"));
        assert_eq!(
            lints.and_then(Value::as_bool),
            Some(true),
            "{name} keeps the lints of the workspace"
        );
    }
}

#[test]
fn crates_lie_flat_under_their_own_names() {
    for (name, manifest) in &manifests() {
        assert_eq!(
            manifest.folder.file_name().and_then(|folder| folder.to_str()),
            Some(name.as_str())
        );
        assert!(
            manifest.folder.join("README.md").is_file(),
            "{name} says in a README.md what it is"
        );
        let nested = find_manifests(&manifest.folder);
        assert_eq!(
            nested,
            [manifest.folder.join("Cargo.toml")],
            "{name} holds no other crate"
        );
    }
}

fn find_manifests(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder can be listed");
    let paths = entries.map(|entry| entry.expect("the folder can be listed").path());
    let found = paths.flat_map(|path| {
        if path.is_dir() {
            find_manifests(&path)
        } else {
            vec![path]
        }
    });
    found.filter(|path| path.ends_with("Cargo.toml")).collect()
}
