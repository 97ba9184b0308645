//! Wakes sensors that wait for an object of the program's own store, when it comes.
//!
//! It only makes them look earlier: one that is not woken looks at its next poke. So little is kept, and in memory.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fragua_base::Timestamp;

use crate::core::Core;
use crate::operator::AwaitedObject;
use crate::store::{millis, task_instances};
use crate::{Error, Orchestrator};

/// How many objects are remembered, and for how long: about as long as a look takes, so that one which comes while a
/// sensor looks is not missed.
const REMEMBERED: usize = 1024;
const REMEMBERED_FOR: Duration = Duration::from_secs(60);

/// How many instances it is remembered of what they were woken for.
const MOST_WOKEN: usize = 1024;

/// What came lately, and who may wait.
pub(crate) struct ObjectWatch {
    /// Whether some sensor may wait. Without one, nothing is asked of the database.
    may_wait: AtomicBool,
    lately: Mutex<Lately>,
}

#[derive(Default)]
struct Lately {
    count: u64,
    /// What came, with its number.
    objects: VecDeque<(u64, Timestamp, String, String)>,
    /// By task instance, the number of the object it was woken for: nobody is woken twice for one.
    woken: HashMap<String, u64>,
}

impl Default for ObjectWatch {
    fn default() -> Self {
        Self {
            // Those of an earlier process may.
            may_wait: AtomicBool::new(true),
            lately: Mutex::default(),
        }
    }
}

impl Lately {
    fn note(&mut self, (bucket, key): (String, String), now: Timestamp) {
        if self.objects.len() == REMEMBERED {
            self.objects.pop_front();
        }
        self.count += 1;
        self.objects.push_back((self.count, now, bucket, key));
    }

    /// Returns whether what an instance waits for came lately, once for each time it came.
    fn came(&mut self, instance: &str, awaited: &AwaitedObject, now: Timestamp) -> bool {
        let seen = self.woken.get(instance).copied().unwrap_or(0);
        let is_new = |(number, at, bucket, key): &&(u64, Timestamp, String, String)| {
            *number > seen && now.since(*at) < REMEMBERED_FOR && awaited.is(bucket, key)
        };
        let Some((number, ..)) = self.objects.iter().rev().find(is_new) else {
            return false;
        };
        if self.woken.len() >= MOST_WOKEN {
            self.woken.clear();
        }
        self.woken.insert(instance.to_owned(), *number);
        true
    }
}

impl ObjectWatch {
    fn lately(&self) -> std::sync::MutexGuard<'_, Lately> {
        self.lately.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Orchestrator {
    /// Lets the sensors look at once that wait for one of these objects of the program's own store, each by bucket and
    /// key.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn objects_came(
        &self,
        objects: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), Error> {
        let watch = &self.core.objects;
        {
            let (mut lately, now) = (watch.lately(), self.core.now());
            objects.into_iter().for_each(|object| lately.note(object, now));
        }
        // One that begins to wait after this looks at what came lately.
        if !watch.may_wait.swap(false, Ordering::SeqCst) {
            return Ok(());
        }
        let waiting = task_instances::waiting_for_objects(self.core.database.reader()).await;
        if !matches!(&waiting, Ok(rows) if rows.is_empty()) {
            watch.may_wait.store(true, Ordering::SeqCst);
        }
        for (instance, awaited) in waiting? {
            let awaited =
                serde_json::from_str(&awaited).map_err(|error| Error::corrupt("task instance", error))?;
            wake_if_it_came(&self.core, &instance, &awaited).await?;
        }
        Ok(())
    }
}

/// Follows a sensor that has begun to wait: what came while it looked wakes it at once.
pub(crate) async fn begins_to_wait(
    core: &Core,
    instance: &str,
    awaited: &AwaitedObject,
) -> Result<(), Error> {
    core.objects.may_wait.store(true, Ordering::SeqCst);
    wake_if_it_came(core, instance, awaited).await
}

async fn wake_if_it_came(core: &Core, instance: &str, awaited: &AwaitedObject) -> Result<(), Error> {
    let now = core.now();
    if core.objects.lately().came(instance, awaited, now) {
        task_instances::look_now(core.database.writer(), instance, millis(now)).await?;
        core.bells.due(now);
    }
    Ok(())
}
