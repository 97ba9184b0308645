//! Files that variables, connections and pools are written to and read from.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::output;

fn is_standard(file: &Path) -> bool {
    file == Path::new("-")
}

/// Reads a file of JSON; - is standard input.
///
/// # Errors
/// Names the field that is wrong. No value is repeated: it may be a secret.
pub(super) fn read<T: DeserializeOwned>(file: &Path) -> anyhow::Result<T> {
    let text = match is_standard(file) {
        true => {
            let mut text = String::new();
            std::io::stdin().lock().read_to_string(&mut text)?;
            text
        }
        false => fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?,
    };
    let mut json = serde_json::Deserializer::from_str(&text);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let inner = error.inner();
        let said = match inner.classify() {
            serde_json::error::Category::Data => inner.to_string(),
            _ => format!(
                "this is not JSON (line {}, column {})",
                inner.line(),
                inner.column()
            ),
        };
        anyhow::anyhow!("{}, at {}: {said}", file.display(), error.path())
    })
}

/// Writes a file of JSON that its owner alone can read; - is standard output.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write(file: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    if is_standard(file) {
        return output::json(value);
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let written = (|| {
        // Temporary files are made with mode 0600.
        let mut temporary = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
        serde_json::to_writer_pretty(&mut temporary, value)?;
        std::io::Write::write_all(&mut temporary, b"\n")?;
        temporary.persist(file)?;
        anyhow::Ok(())
    })();
    written.with_context(|| format!("{} cannot be written", file.display()))?;
    output::line(&format!("wrote {}", file.display()))
}
