//! Pools: how many tasks of a kind may run at once, in all DAGs.

use serde_json::json;

use crate::audit::About;
use crate::dag::DEFAULT_POOL;
use crate::scheduler::attempts::count_busy;
use crate::store::{pools, task_instances};
use crate::{Error, Orchestrator, TaskState};

/// A number of slots that tasks share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// The name.
    pub name: String,
    /// How many slots it has; a negative number is no limit.
    pub slots: i64,
    /// What it is for.
    pub description: String,
    /// Whether tasks that the scheduler holds take slots too.
    pub include_deferred: bool,
}

/// A pool with what it is used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolUse {
    /// The pool.
    pub pool: Pool,
    /// How many of its slots are taken.
    pub taken: i64,
    /// How many slots the tasks that wait for a worker would take.
    pub queued: i64,
}

impl Orchestrator {
    /// Returns every pool, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn pools(&self) -> Result<Vec<PoolUse>, Error> {
        let reader = self.core.database.reader();
        let (_, busy) = count_busy(reader, false).await?;
        let queued = task_instances::in_states(reader, &[TaskState::Queued]).await?;
        let rows = pools::all(reader).await?;
        Ok(rows
            .into_iter()
            .map(|row| PoolUse {
                taken: busy.taken(&row.name),
                queued: queued
                    .iter()
                    .filter(|task| task.pool == row.name)
                    .map(|task| task.pool_slots)
                    .sum(),
                pool: Pool {
                    name: row.name,
                    slots: row.slots,
                    description: row.description,
                    include_deferred: row.include_deferred,
                },
            })
            .collect())
    }

    /// Returns one pool.
    ///
    /// # Errors
    /// [`Error::PoolNotFound`], and when the database fails.
    pub async fn pool(&self, name: &str) -> Result<PoolUse, Error> {
        let pools = self.pools().await?;
        let found = pools.into_iter().find(|pool| pool.pool.name == name);
        found.ok_or_else(|| Error::PoolNotFound {
            name: name.to_owned(),
        })
    }

    /// Makes a pool, or changes the one of this name.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`], and when the database fails.
    pub async fn put_pool(&self, pool: Pool) -> Result<(), Error> {
        check_name("name", &pool.name)?;
        let row = pools::Model {
            name: pool.name,
            slots: pool.slots,
            description: pool.description,
            include_deferred: pool.include_deferred,
        };
        let (name, slots) = (row.name.clone(), row.slots);
        pools::put(self.core.database.writer(), row).await?;
        self.note(
            "put_pool",
            About::default(),
            json!({ "name": name, "slots": slots }),
        )
        .await?;
        self.core.worker_bell.notify_one();
        Ok(())
    }

    /// Removes a pool. Tasks that name it wait until there is one of its name again.
    ///
    /// # Errors
    /// [`Error::PoolNotFound`], [`Error::InvalidRequest`] for the default one, and when the database fails.
    pub async fn delete_pool(&self, name: &str) -> Result<(), Error> {
        if name == DEFAULT_POOL {
            return Err(Error::InvalidRequest {
                field: "name",
                reason: format!("cannot be {DEFAULT_POOL}: tasks that name no pool are in it"),
            });
        }
        match pools::delete(self.core.database.writer(), name).await? {
            true => {
                self.note("delete_pool", About::default(), json!({ "name": name }))
                    .await
            }
            false => Err(Error::PoolNotFound {
                name: name.to_owned(),
            }),
        }
    }
}

/// Checks the name of something that is kept by name.
pub(crate) fn check_name(field: &'static str, name: &str) -> Result<(), Error> {
    let fits = |character: char| character.is_alphanumeric() || matches!(character, '_' | '-' | '.' | ' ');
    if !name.trim().is_empty() && name.trim() == name && name.chars().count() <= 200 && name.chars().all(fits)
    {
        return Ok(());
    }
    Err(Error::InvalidRequest {
        field,
        reason: format!(
            "{name:?} cannot be a name: use up to 200 letters, digits, dashes, dots, spaces and underscores"
        ),
    })
}
