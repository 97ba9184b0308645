//! What commands print on standard output: aligned columns for people, JSON for programs.

use std::io::{self, Write as _, stdout};

use serde::Serialize;

/// Prints one JSON value.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)?;
    Ok(())
}

/// How a command says what it did.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Form {
    /// Prints JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl Form {
    /// Prints what was done, in words or as JSON.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn say(self, words: &str, value: &impl Serialize) -> anyhow::Result<()> {
        match self.json {
            true => json(value),
            false => line(words),
        }
    }
}

/// Returns a line that sets a variable of a shell.
pub(crate) fn export(name: &str, value: &str) -> String {
    format!("export {name}='{}'", value.replace('\'', r"'\''"))
}

/// Prints a line.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    writeln!(stdout().lock(), "{text}")?;
    Ok(())
}

/// Prints rows under their headings, each column as wide as its widest cell.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn table<const COLUMNS: usize>(
    headings: [&str; COLUMNS],
    rows: &[[String; COLUMNS]],
) -> anyhow::Result<()> {
    stdout().lock().write_all(aligned(headings, rows).as_bytes())?;
    Ok(())
}

fn aligned<const COLUMNS: usize>(headings: [&str; COLUMNS], rows: &[[String; COLUMNS]]) -> String {
    let headings = headings.map(str::to_uppercase);
    let all = || std::iter::once(&headings).chain(rows);
    let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
        all()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or_default()
    });
    let mut text = String::new();
    for row in all() {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(&format!("{cell:width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Returns whether the reader of our output has gone.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io_kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        let json_kind = cause
            .downcast_ref::<serde_json::Error>()
            .and_then(serde_json::Error::io_error_kind);
        io_kind.or(json_kind) == Some(io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_exported() {
        let text = "a'b $HOME \"c\"";
        let output = std::process::Command::new("sh")
            .args(["-c", &format!("{}; printf %s \"$NAME\"", export("NAME", text))])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
    }

    #[test]
    fn columns_are_aligned_by_characters() {
        let rows = [
            ["a".to_owned(), "año".to_owned(), String::new()],
            ["long name".to_owned(), "x".to_owned(), "y".to_owned()],
        ];
        assert_eq!(
            aligned(["id", "two", "three"], &rows),
            "ID         TWO  THREE\na          año\nlong name  x    y\n"
        );
    }
}
