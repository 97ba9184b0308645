//! `kill -9` at any point of a writing load: what was answered is there, what was not sent whole never is.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::{ExitCode, Stdio};

use bytes::Bytes;
use fragua_storage::{
    CompletedPart, CreateUpload, Encrypt, ListQuery, PartOptions, PutOptions, Storage, VersionId, Versioning,
};
use futures::stream;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::store::{bucket, digest, key, open, read};

const KILLS: usize = 200;

/// What is overwritten and deleted, encrypted or not.
const PLAIN: &str = "plain";

/// What is only added to, version by version.
const KEPT: &str = "kept";

/// Keys of one writer.
const KEYS: usize = 3;

/// A small generator, so that each round is another one and every run of the test the same.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// What nobody wrote before: its first bytes are random.
fn content(random: &mut Random, size: usize) -> Bytes {
    let mut bytes = fragua_base::random_hex(16).into_bytes();
    bytes.resize(size.max(bytes.len()), random.below(256) as u8);
    bytes.into()
}

/// The process that is killed. It says what it begins, when the last byte is handed over, and what was answered.
pub(crate) async fn write(folder: &str) -> ExitCode {
    let storage = open(Path::new(folder)).await;
    let seed = fragua_base::random_hex(8);
    let seed = u64::from_str_radix(&seed, 16).unwrap();
    let writers = (0..3).map(|writer| tokio::spawn(write_plain(storage.clone(), writer, seed + writer)));
    let keeper = tokio::spawn(write_kept(storage.clone(), seed));
    futures::future::join_all(writers).await;
    keeper.await.unwrap();
    ExitCode::FAILURE
}

/// Tells the moment when the body has been handed over as a whole.
fn body(
    bytes: Bytes,
    name: &str,
) -> impl futures::Stream<Item = std::io::Result<Bytes>> + Send + Unpin + use<> {
    let name = name.to_owned();
    let middle = bytes.len() / 2;
    let (one, other) = (bytes.slice(..middle), bytes.slice(middle..));
    stream::iter([one, other].into_iter().enumerate().map(move |(index, half)| {
        if index == 1 {
            println!("sent {name}");
        }
        Ok(half)
    }))
}

async fn write_plain(storage: Storage, writer: u64, seed: u64) {
    let mut random = Random(seed);
    loop {
        let name = format!("{writer}/{}", random.below(KEYS));
        let place = (&bucket(PLAIN), &key(&name));
        let encryption = match random.below(2) {
            0 => Encrypt::AsBucket,
            _ => Encrypt::Aes256,
        };
        match random.below(8) {
            0 => {
                println!("begin {name} -");
                println!("sent {name}");
                storage.delete(place.0, place.1).await.unwrap();
                println!("done {name}");
            }
            1 => {
                let (one, other) = (content(&mut random, 5 << 20), content(&mut random, 9));
                let whole: Vec<u8> = one.iter().chain(&other).copied().collect();
                let options = CreateUpload {
                    encryption,
                    ..CreateUpload::default()
                };
                let upload = storage.create_upload(place.0, place.1, options).await.unwrap();
                let mut parts = Vec::new();
                for (number, bytes) in [(1, one), (2, other)] {
                    let body = stream::iter([Ok(bytes)]);
                    let part = storage
                        .upload_part(place, &upload, number, PartOptions::default(), body)
                        .await
                        .unwrap();
                    parts.push(CompletedPart {
                        number,
                        etag: part.etag,
                        checksums: Vec::new(),
                    });
                }
                println!("begin {name} {}", digest(&whole));
                println!("sent {name}");
                storage
                    .complete_upload(place, &upload, &parts, Default::default())
                    .await
                    .unwrap();
                println!("done {name}");
            }
            large => {
                let size = if large == 2 {
                    1_500_000
                } else {
                    random.below(20_000)
                };
                let bytes = content(&mut random, size);
                println!("begin {name} {}", digest(&bytes));
                let body = body(bytes, &name);
                let options = PutOptions {
                    encryption,
                    ..PutOptions::default()
                };
                storage.put(place.0, place.1, options, body).await.unwrap();
                println!("done {name}");
            }
        }
    }
}

async fn write_kept(storage: Storage, seed: u64) {
    let mut random = Random(seed);
    loop {
        let bytes = content(&mut random, 100);
        let digest = digest(&bytes);
        let written = storage
            .put_bytes(&bucket(KEPT), &key("k"), PutOptions::default(), bytes)
            .await
            .unwrap();
        println!("kept {} {digest}", written.version_id.unwrap());
    }
}

/// What is known of one key: the digest that it must have (nothing when it must not be there), and the one that it
/// may have instead when its writer was killed between the last byte and the answer.
#[derive(Debug, Default)]
struct Known {
    answered: Option<String>,
    begun: Option<Option<String>>,
    is_sent: bool,
}

#[derive(Debug, Default)]
struct Model {
    plain: BTreeMap<String, Known>,
    kept: HashMap<String, String>,
}

impl Model {
    fn hear(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["begin", name, digest] => {
                let known = self.plain.entry(name.to_owned()).or_default();
                known.begun = Some((digest != "-").then(|| digest.to_owned()));
                known.is_sent = false;
            }
            ["sent", name] => self.plain.get_mut(name).unwrap().is_sent = true,
            ["done", name] => {
                let known = self.plain.get_mut(name).unwrap();
                known.answered = known.begun.take().unwrap();
            }
            ["kept", version, digest] => {
                self.kept.insert(version.to_owned(), digest.to_owned());
            }
            _ => panic!("unknown line {line:?}"),
        }
    }

    /// Compares with the store, and takes what is there for what is known.
    async fn compare(&mut self, storage: &Storage) {
        let listed = storage.list(&bucket(PLAIN), ListQuery::default()).await.unwrap();
        for object in &listed.objects {
            assert!(
                self.plain.contains_key(object.key.as_str()),
                "nobody wrote {object:?}"
            );
        }
        for (name, known) in &mut self.plain {
            let found = read(storage, PLAIN, name, None).await;
            let began = known.begun.take().filter(|_| known.is_sent);
            let is_allowed = found == known.answered || began.is_some_and(|began| found == began);
            assert!(is_allowed, "{name} holds {found:?}, known is {known:?}");
            known.answered = found;
        }
    }
}

async fn write_until_killed(folder: &Path, lines_before: usize, model: &mut Model) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg("write")
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut heard = 0;
    while let Some(line) = lines.next_line().await.unwrap() {
        heard += 1;
        if heard == lines_before {
            child.start_kill().unwrap();
        }
        // A line goes out as one write, which a pipe takes whole.
        model.hear(&line);
    }
    assert!(heard >= lines_before, "the writer ended by itself");
    child.wait().await.unwrap();
}

pub(crate) async fn what_was_answered_survives_two_hundred_kills() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path()).await;
    storage.create_bucket(&bucket(PLAIN)).await.unwrap();
    storage.create_bucket(&bucket(KEPT)).await.unwrap();
    storage
        .set_versioning(&bucket(KEPT), Versioning::Enabled)
        .await
        .unwrap();
    drop(storage);
    let (mut random, mut model) = (Random(11), Model::default());
    for kill in 1..=KILLS {
        write_until_killed(folder.path(), 1 + random.below(60), &mut model).await;
        let storage = open(folder.path()).await;
        model.compare(&storage).await;
        if kill % 20 == 0 {
            let report = storage.check(true).await.unwrap();
            assert!(report.is_sound(), "{report:?}");
        }
    }
    let storage = open(folder.path()).await;
    for (version, digest) in &model.kept {
        let version = VersionId::parse(version.as_str()).unwrap();
        assert_eq!(
            read(&storage, KEPT, "k", Some(version)).await.as_ref(),
            Some(digest)
        );
    }
    let usage = storage.usage(&bucket(KEPT)).await.unwrap();
    let versions = (usage.object_count + usage.noncurrent_count) as usize;
    // Of each kill, one version may be there whose answer was not heard.
    assert!(
        (model.kept.len()..=model.kept.len() + KILLS).contains(&versions),
        "{versions} versions, {} answered",
        model.kept.len()
    );
    assert!(model.kept.len() > KILLS, "the writers wrote");
}
