//! Registered models of a file store: what the registry lacks of them.

use std::path::Path;

use super::read::{FileModel, VersionMeta};
use super::{Import, time};
use crate::runs::Tag;
use crate::versions::{ModelVersion, Stage};
use crate::{Error, store, validation};

impl<P: FnMut(usize, usize) + Send> Import<'_, P> {
    /// Brings a registered model, or the versions, tags and aliases that the one of its name lacks. What was deleted
    /// here does not come back: the number of a version stays taken.
    pub(super) async fn model(&mut self, folder: &Path) -> Result<(), Error> {
        let Some(mut model) = self.reader.model(folder) else {
            return Ok(());
        };
        let database = self.tracking.database();
        let reader = database.reader();
        let name = model.meta.name.clone();
        let is_new = !store::models::exists(reader, &name).await?;
        let mut tags_of_versions = Vec::new();
        let mut usable: Vec<i32> = model
            .versions
            .iter()
            .map(|(version, _)| version.version)
            .collect();
        if is_new {
            self.report.models += 1;
        } else {
            self.report.already_there += 1;
            tags_of_versions = self.complete_model(folder, &mut model, &mut usable).await?;
        }
        let aliases = self.aliases(folder, &model, &usable);
        let tags = [&model.tags]
            .into_iter()
            .chain(model.versions.iter().map(|(_, tags)| tags));
        let tags = tags.chain(tags_of_versions.iter().map(|(_, tags)| tags));
        self.report.tags += tags.map(|tags| tags.len() as u64).sum::<u64>();
        self.report.versions += model.versions.len() as u64;
        self.report.aliases += aliases.len() as u64;
        if self.request.dry_run {
            return Ok(());
        }
        let meta = &model.meta;
        let transaction = database.begin().await?;
        if is_new {
            let description = meta.description.as_deref();
            store::models::insert(&transaction, &name, description, time(meta.creation_timestamp)).await?;
        }
        store::models::lock(&transaction, &name).await?;
        store::models::set_tags(&transaction, &name, &model.tags).await?;
        for (version, tags) in &model.versions {
            let version = self.version(&name, version, tags);
            store::versions::insert(&transaction, &version).await?;
        }
        for (version, tags) in &tags_of_versions {
            store::versions::set_tags(&transaction, &name, *version, tags).await?;
        }
        for (alias, version) in &aliases {
            store::models::set_alias(&transaction, &name, alias, *version).await?;
        }
        if is_new {
            store::models::touch(&transaction, &name, time(meta.last_updated_timestamp)).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Leaves of a model what is not there. Returns the tags that versions lack which are there, and keeps in `usable`
    /// the numbers that an alias can name.
    async fn complete_model(
        &mut self,
        folder: &Path,
        model: &mut FileModel,
        usable: &mut Vec<i32>,
    ) -> Result<Vec<(i32, Vec<Tag>)>, Error> {
        let reader = self.tracking.database().reader();
        let name = model.meta.name.as_str();
        let tags = store::models::tags(reader, name).await?;
        model.tags.retain(|tag| lacks(&tags, tag));
        let aliases = store::models::aliases(reader, name).await?;
        model
            .aliases
            .retain(|alias| !aliases.iter().any(|known| known.alias == alias.key));
        let taken = store::versions::numbers(reader, name).await?;
        let there = store::versions::of_model(reader, name).await?;
        let is_deleted =
            |number: &i32| taken.contains(number) && !there.iter().any(|one| one.version == *number);
        usable.retain(|number| !is_deleted(number));
        model
            .aliases
            .retain(|alias| !alias.value.trim().parse().is_ok_and(|number| is_deleted(&number)));
        let (known, new): (Vec<_>, Vec<_>) = std::mem::take(&mut model.versions)
            .into_iter()
            .partition(|(version, _)| taken.contains(&version.version));
        model.versions = new;
        let mut lacking = Vec::new();
        for (meta, mut tags) in known {
            let Some(version) = there.iter().find(|one| one.version == meta.version) else {
                continue;
            };
            if version.created_at != time(meta.creation_timestamp) {
                let path = folder.join(format!("version-{}", meta.version));
                self.reader
                    .skip(&path, None, "another version of this number is there");
                usable.retain(|number| *number != meta.version);
                continue;
            }
            tags.retain(|tag| lacks(&version.tags, tag));
            lacking.push((meta.version, tags));
        }
        Ok(lacking)
    }

    /// Returns the aliases that name a usable version.
    fn aliases(&mut self, folder: &Path, model: &FileModel, usable: &[i32]) -> Vec<(String, i32)> {
        let mut found = Vec::new();
        for alias in &model.aliases {
            let number = alias.value.trim().parse().ok();
            match number.filter(|number| usable.contains(number)) {
                Some(number) if validation::alias(&alias.key).is_ok() => {
                    found.push((alias.key.clone(), number))
                }
                _ => {
                    let path = folder.join("aliases").join(&alias.key);
                    self.reader
                        .skip(&path, None, "it is no alias of a version that is there");
                }
            }
        }
        found
    }

    fn version(&self, name: &str, meta: &VersionMeta, tags: &[Tag]) -> ModelVersion {
        let stage = meta
            .current_stage
            .as_deref()
            .and_then(|stage| Stage::parse(stage).ok());
        ModelVersion {
            name: name.to_owned(),
            version: meta.version,
            created_at: time(meta.creation_timestamp),
            updated_at: time(meta.last_updated_timestamp),
            description: meta.description.clone(),
            user_id: meta.user_id.clone(),
            stage: stage.unwrap_or_default(),
            source: self.moved(meta.source.as_deref().unwrap_or_default()),
            storage_location: meta.storage_location.as_deref().map(|place| self.moved(place)),
            run_id: meta.run_id.clone(),
            run_link: meta.run_link.clone(),
            status: meta.status.clone().unwrap_or_else(|| "READY".to_owned()),
            status_message: meta.status_message.clone(),
            tags: tags.to_vec(),
            aliases: Vec::new(),
        }
    }
}

fn lacks(there: &[Tag], tag: &Tag) -> bool {
    !there.iter().any(|known| known.key == tag.key)
}
