//! Assets: what tasks update, and what starts runs of DAGs that wait for it.

use std::collections::BTreeMap;

use fragua_base::Timestamp;
use sea_orm::ConnectionTrait;
use serde_json::{Map, Value, json};

use crate::audit::{self, About};
use crate::dag::asset::check_asset;
use crate::scheduler::work::Work;
use crate::store::{self, assets};
use crate::{Change, DagRun, Error, Orchestrator, scheduler};

/// An asset: something with a name that a DAG mentions, or that something happened to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// Its name, such as `table://warehouse/sales`.
    pub name: String,
    /// The tasks that update it, as (DAG, task).
    pub producers: Vec<(String, String)>,
    /// The DAGs whose runs it starts.
    pub consumers: Vec<String>,
    /// When it was updated last.
    pub last_event_at: Option<Timestamp>,
}

/// The task that updated an asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetSource {
    /// Its DAG.
    pub dag_id: String,
    /// Its run.
    pub run_id: String,
    /// The task.
    pub task_id: String,
    /// The number of the instance, where the task has several.
    pub map_index: Option<u32>,
}

/// An update of an asset.
#[derive(Debug, Clone, PartialEq)]
pub struct AssetEvent {
    /// Its number; later events have greater ones.
    pub id: i64,
    /// The asset.
    pub asset: String,
    /// What else is worth knowing.
    pub extra: Map<String, Value>,
    /// The task that did it; nothing where it came from outside.
    pub source: Option<AssetSource>,
    /// When.
    pub at: Timestamp,
}

/// Which events to list, newest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AssetEventQuery {
    /// Only those of this asset.
    pub asset: Option<String>,
    /// Only those that a task of this DAG caused.
    pub source_dag_id: Option<String>,
    /// Only those that this task caused.
    pub source_task_id: Option<String>,
    /// How many at most; zero means 50, and 1,000 is the most.
    pub limit: u64,
    /// How many to pass over.
    pub offset: u64,
}

impl TryFrom<assets::event::Model> for AssetEvent {
    type Error = Error;

    fn try_from(row: assets::event::Model) -> Result<Self, Error> {
        let task = row.source_dag_id.zip(row.source_run_id).zip(row.source_task_id);
        Ok(Self {
            id: row.id,
            extra: serde_json::from_str(&row.extra).map_err(|error| Error::corrupt("asset event", error))?,
            source: task.map(|((dag_id, run_id), task_id)| AssetSource {
                dag_id,
                run_id,
                task_id,
                map_index: store::map_index(row.source_map_index),
            }),
            asset: row.asset,
            at: Timestamp::from_millis(row.happened_at),
        })
    }
}

impl AssetEvent {
    /// Returns what templates see of it.
    pub(crate) fn names(&self) -> Value {
        let source = self.source.as_ref();
        json!({
            "uri": self.asset,
            "extra": self.extra,
            "timestamp": self.at.to_rfc3339(),
            "source_dag_id": source.map(|source| &source.dag_id),
            "source_run_id": source.map(|source| &source.run_id),
            "source_task_id": source.map(|source| &source.task_id),
            "source_map_index": source.map(|source| source.map_index.map_or(-1, i64::from)),
        })
    }
}

impl Work<'_> {
    /// Records that an asset was updated, for the DAGs that wait for it.
    pub(crate) async fn asset_updated(
        &mut self,
        asset: &str,
        extra: Map<String, Value>,
        source: Option<AssetSource>,
    ) -> Result<AssetEvent, Error> {
        let mut event = AssetEvent {
            id: 0,
            asset: asset.to_owned(),
            extra,
            source,
            at: self.now,
        };
        let source = event.source.as_ref();
        let row = assets::event::Model {
            id: 0,
            asset: event.asset.clone(),
            extra: Value::Object(event.extra.clone()).to_string(),
            source_dag_id: source.map(|source| source.dag_id.clone()),
            source_run_id: source.map(|source| source.run_id.clone()),
            source_task_id: source.map(|source| source.task_id.clone()),
            source_map_index: store::map_column(source.and_then(|source| source.map_index)),
            happened_at: store::millis(self.now),
        };
        event.id = assets::insert_event(&self.transaction, row).await?;
        let consumers = assets::consumers(&self.transaction, asset).await?;
        assets::deliver(&self.transaction, &consumers, event.id).await?;
        for dag_id in &consumers {
            self.plan_later(dag_id);
        }
        Ok(event)
    }
}

/// Returns the events that started a run, by asset, as templates see them.
pub(crate) async fn triggering(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    run_id: &str,
) -> Result<Map<String, Value>, Error> {
    let mut by_asset = Map::new();
    for row in assets::of_run(connection, dag_id, run_id).await? {
        let event = AssetEvent::try_from(row)?;
        let events = by_asset
            .entry(event.asset.clone())
            .or_insert_with(|| Value::Array(Vec::new()));
        events
            .as_array_mut()
            .into_iter()
            .for_each(|events| events.push(event.names()));
    }
    Ok(by_asset)
}

impl Orchestrator {
    /// Returns every asset, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn assets(&self) -> Result<Vec<Asset>, Error> {
        let all = assets::all(self.core.database.reader()).await?;
        let asset = |(name, known): (String, assets::Known)| Asset {
            name,
            producers: known.producers,
            consumers: known.consumers,
            last_event_at: store::instant(known.last_event_at),
        };
        Ok(all.into_iter().map(asset).collect())
    }

    /// Returns updates of assets, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn asset_events(&self, query: &AssetEventQuery) -> Result<Vec<AssetEvent>, Error> {
        let rows = assets::events(self.core.database.reader(), query).await?;
        rows.into_iter().map(AssetEvent::try_from).collect()
    }

    /// Records that an asset was updated from outside, such as an object `s3://bucket/key` that was written, and starts
    /// what waited for it.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for a name that cannot be an asset's, and when the database fails.
    pub async fn create_asset_event(
        &self,
        asset: &str,
        extra: Map<String, Value>,
    ) -> Result<AssetEvent, Error> {
        check_asset(asset).map_err(|reason| Error::InvalidRequest {
            field: "asset",
            reason: format!("is refused: {reason}"),
        })?;
        let mut work = Work::begin(&self.core).await?;
        let event = work.asset_updated(asset, extra, None).await?;
        let about = json!({ "asset": asset, "event_id": event.id });
        audit::note(
            &work.transaction,
            (work.now, &self.actor),
            "create_asset_event",
            About::default(),
            about,
        )
        .await?;
        let to_plan = work.commit().await?;
        self.core.tell(Change::Kept);
        scheduler::settle(&self.core, to_plan).await?;
        Ok(event)
    }

    /// As [`Self::create_asset_event`] for what happens often and mostly concerns nobody: nothing is recorded unless a
    /// DAG that is not paused waits for the asset.
    ///
    /// # Errors
    /// As [`Self::create_asset_event`].
    pub async fn create_asset_event_if_awaited(
        &self,
        asset: &str,
        extra: Map<String, Value>,
    ) -> Result<Option<AssetEvent>, Error> {
        if assets::consumers(self.core.database.reader(), asset)
            .await?
            .is_empty()
        {
            return Ok(None);
        }
        self.create_asset_event(asset, extra).await.map(Some)
    }

    /// Returns the updates that a DAG has learned of and that started no run of it yet, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn queued_asset_events(&self, dag_id: &str) -> Result<Vec<AssetEvent>, Error> {
        let rows = assets::pending(self.core.database.reader(), dag_id).await?;
        rows.into_iter().map(AssetEvent::try_from).collect()
    }

    /// Forgets updates that started no run of a DAG yet: of one asset, or of all. Returns how many there were.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn delete_queued_asset_events(&self, dag_id: &str, asset: Option<&str>) -> Result<u64, Error> {
        let count = assets::forget_pending(self.core.database.writer(), dag_id, asset).await?;
        let extra = json!({ "asset": asset, "count": count });
        self.note("delete_queued_asset_events", About::dag(dag_id), extra)
            .await?;
        Ok(count)
    }

    /// Returns the runs that some updates started, by the number of the update, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn runs_of_asset_events(&self, event_ids: &[i64]) -> Result<BTreeMap<i64, Vec<DagRun>>, Error> {
        let mut started: BTreeMap<i64, Vec<DagRun>> = BTreeMap::new();
        for (event_id, run) in assets::runs_of_events(self.core.database.reader(), event_ids).await? {
            started.entry(event_id).or_default().push(run.try_into()?);
        }
        Ok(started)
    }

    /// Returns the updates that started a run, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn triggering_asset_events(
        &self,
        dag_id: &str,
        run_id: &str,
    ) -> Result<Vec<AssetEvent>, Error> {
        let rows = assets::of_run(self.core.database.reader(), dag_id, run_id).await?;
        rows.into_iter().map(AssetEvent::try_from).collect()
    }
}
