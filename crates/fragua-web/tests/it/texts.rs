//! Every text exists in both languages, every text used exists, and no template holds code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn files(folder: &str, ending: &str) -> Vec<(PathBuf, String)> {
    fn collect(folder: &Path, ending: &str, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, ending, found);
            } else if path.extension().is_some_and(|known| known == ending) {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    collect(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join(folder),
        ending,
        &mut found,
    );
    assert!(!found.is_empty(), "no .{ending} below {folder}");
    found.sort();
    found
}

/// Returns the key of each message with the names of the values it takes.
fn messages(language: &str) -> Vec<(String, BTreeSet<String>)> {
    let mut messages: Vec<(String, BTreeSet<String>)> = Vec::new();
    for (_, text) in files(&format!("locales/{language}"), "ftl") {
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if !line.starts_with([' ', '}'])
                && let Some((key, _)) = line.split_once(" =")
            {
                messages.push((key.to_owned(), BTreeSet::new()));
            }
            let Some((_, values)) = messages.last_mut() else {
                continue;
            };
            for part in line.split('$').skip(1) {
                values.insert(part.chars().take_while(char::is_ascii_alphanumeric).collect());
            }
        }
    }
    messages.sort();
    messages
}

fn keys() -> BTreeSet<String> {
    messages("en").into_iter().map(|(key, _)| key).collect()
}

#[test]
fn both_languages_have_the_same_texts_with_the_same_values() {
    let (english, spanish) = (messages("en"), messages("es"));
    let names = |messages: &[(String, BTreeSet<String>)]| -> Vec<String> {
        messages.iter().map(|(key, _)| key.clone()).collect()
    };
    assert_eq!(names(&english), names(&spanish));
    // `$count` only chooses the plural, which one language may not need.
    let shown = |messages: Vec<(String, BTreeSet<String>)>| -> Vec<(String, BTreeSet<String>)> {
        let without_count =
            |values: BTreeSet<String>| values.into_iter().filter(|value| value != "count").collect();
        messages
            .into_iter()
            .map(|(key, values)| (key, without_count(values)))
            .collect()
    };
    assert_eq!(shown(english.clone()), shown(spanish));
    let all = names(&english);
    let unique: BTreeSet<&String> = all.iter().collect();
    assert_eq!(all.len(), unique.len(), "a text has one key and one place");
}

/// Returns the literal texts that stand as the first argument of a call.
fn first_arguments<'a>(text: &'a str, call: &str) -> Vec<&'a str> {
    text.split(call)
        .skip(1)
        .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next())
        .collect()
}

#[test]
fn templates_and_code_use_texts_that_exist() {
    let keys = keys();
    let sources = files("templates", "html").into_iter().chain(files("src", "rs"));
    let mut used = 0;
    for (path, text) in sources {
        let text = text.split("#[cfg(test)]").next().unwrap();
        for call in [".t(", ".t1(", ".tn(", ".text_with(", ".text(", ".text_count("] {
            for key in first_arguments(text, call) {
                used += 1;
                assert!(keys.contains(key), "{}: there is no text {key:?}", path.display());
            }
        }
    }
    assert!(used > 200, "{used}");
}

#[test]
fn no_text_is_left_over() {
    let all: String = files("templates", "html")
        .into_iter()
        .chain(files("src", "rs"))
        .map(|(_, text)| text)
        .collect();
    // These are put together from parts.
    let composed = [
        "state-",
        "error-",
        "time-",
        "schedule-weekday-",
        "schedule-every-",
        "role-",
        "axis-",
    ];
    for key in keys() {
        let is_composed = composed.iter().any(|start| key.starts_with(start));
        assert!(
            is_composed || all.contains(&format!("\"{key}\"")),
            "{key} is not used"
        );
    }
}

#[test]
fn templates_hold_no_code_and_load_nothing_from_elsewhere() {
    for (path, text) in files("templates", "html") {
        let place = path.display();
        for forbidden in [
            " style=",
            "<style",
            "javascript:",
            "src=\"http",
            "href=\"http",
            "//cdn",
        ] {
            assert!(!text.contains(forbidden), "{place}: {forbidden}");
        }
        for attribute in text.split(" on").skip(1) {
            let name: String = attribute.chars().take_while(char::is_ascii_lowercase).collect();
            let rest = &attribute[name.len()..];
            assert!(!rest.starts_with("=\""), "{place}: on{name}");
        }
        for script in text.split("<script").skip(1) {
            let (tag, rest) = script.split_once('>').unwrap();
            assert!(tag.contains(" src="), "{place}: a script without src");
            assert!(
                rest.trim_start().starts_with("</script>"),
                "{place}: code inside a script"
            );
        }
        // What is put in unescaped must be made by us.
        for (start, _) in text.match_indices("|safe") {
            assert!(text[..start].ends_with("field.described()"), "{place}: |safe");
        }
    }
}

#[test]
fn styles_and_scripts_stay_on_this_server() {
    for (path, text) in files("static", "css").into_iter().chain(files("static", "js")) {
        for forbidden in ["http://", "https://", "@import url", "eval(", "innerHTML = "] {
            assert!(!text.contains(forbidden), "{}: {forbidden}", path.display());
        }
    }
}
