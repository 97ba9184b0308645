//! Pools.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::endpoint::{Endpoint, delete, get, patch, post};
use super::failure::Failure;
use super::kept::{self, Bulk, Kept};
use crate::listing::Column;
use crate::{Orchestrator, Pool};

pub(super) struct Pools;

/// A pool.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Body {
    name: String,
    /// -1 is no limit.
    slots: i64,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    include_deferred: Option<bool>,
}

/// What changes in a pool.
#[derive(Debug, Deserialize, JsonSchema)]
#[expect(
    dead_code,
    reason = "describes the body; what is given is laid over what is kept"
)]
struct Change {
    slots: Option<i64>,
    description: Option<String>,
    include_deferred: Option<bool>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/api/v2/pools", "Lists the pools", kept::list::<Pools>).list(Pools::COLUMNS),
        post("/api/v2/pools", "Makes a pool", kept::create::<Pools>).body::<Body>(),
        patch("/api/v2/pools", "Changes many pools", kept::bulk::<Pools>).body::<Bulk>(),
        get(
            "/api/v2/pools/{pool_name}",
            "Returns a pool",
            kept::get_one::<Pools>,
        ),
        patch(
            "/api/v2/pools/{pool_name}",
            "Changes a pool",
            kept::patch_one::<Pools>,
        )
        .query(&["update_mask"])
        .body::<Change>(),
        delete(
            "/api/v2/pools/{pool_name}",
            "Removes a pool",
            kept::delete_one::<Pools>,
        ),
    ]
}

impl Kept for Pools {
    type Body = Body;
    const PLURAL: &'static str = "pools";
    const KEY: &'static str = "name";
    const COLUMNS: &'static [Column] = &[
        Column::text("name", "name"),
        Column::text("pool", "name"),
        Column::text("pool_name", "name"),
        Column::number("slots", "slots"),
        Column::text("id", "name"),
    ];

    async fn all(orchestrator: &Orchestrator) -> Result<Vec<Value>, Failure> {
        let deferred = orchestrator.deferred_slots().await?;
        let pools = orchestrator.pools().await?.into_iter();
        let shown = pools.map(|used| {
            let Pool {
                name,
                slots,
                description,
                include_deferred,
            } = used.pool;
            let deferred = deferred.get(&name).copied().unwrap_or(0);
            let running = match include_deferred {
                true => used.taken - deferred,
                false => used.taken,
            };
            let open = match slots {
                ..0 => -1,
                slots => (slots - used.taken).max(0),
            };
            json!({
                "name": name,
                "slots": slots,
                "description": description,
                "include_deferred": include_deferred,
                "occupied_slots": used.taken,
                "running_slots": running,
                "queued_slots": used.queued,
                "scheduled_slots": 0,
                "deferred_slots": deferred,
                "open_slots": open,
                "team_name": null,
            })
        });
        Ok(shown.collect())
    }

    fn hide(kept: Value) -> Value {
        kept
    }

    /// Nothing of a pool is hidden. The name is `pool` in a change.
    fn unhide(given: &mut Map<String, Value>, _: &Value) {
        given.remove("pool");
        given.retain(|_, value| !value.is_null());
    }

    async fn put(orchestrator: &Orchestrator, body: Body) -> Result<(), Failure> {
        if body.slots < -1 {
            return Err(Failure::invalid(
                "body",
                "slots",
                "greater_than_equal",
                "slots must be at least -1, which is no limit",
            ));
        }
        let pool = Pool {
            name: body.name,
            slots: body.slots,
            description: body.description.unwrap_or_default(),
            include_deferred: body.include_deferred.unwrap_or(false),
        };
        Ok(orchestrator.put_pool(pool).await?)
    }

    async fn remove(orchestrator: &Orchestrator, name: &str) -> Result<(), Failure> {
        Ok(orchestrator.delete_pool(name).await?)
    }
}
