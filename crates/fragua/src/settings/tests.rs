//! Precedence and messages, over real files in a folder of their own.

use tempfile::TempDir;

use super::*;

/// A project's folder with its two files, and the rest of the places.
#[derive(Default)]
struct Given<'a> {
    file: &'a str,
    dot_env: &'a str,
    environment: &'a [(&'a str, &'a str)],
    command_line: &'a [(&'a str, &'a str)],
}

impl Given<'_> {
    fn load(&self) -> Result<Loaded, String> {
        let folder = TempDir::new().unwrap();
        if !self.file.is_empty() {
            std::fs::write(folder.path().join(FILE_NAME), self.file).unwrap();
        }
        if !self.dot_env.is_empty() {
            std::fs::write(folder.path().join(".env"), self.dot_env).unwrap();
        }
        let pairs = self
            .environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut sources = Sources::from_pairs(pairs);
        for (key, value) in self.command_line {
            sources = sources.command_line(key, value, "--set");
        }
        let prefix = format!("{}/", folder.path().display());
        load(folder.path(), &sources).map_err(|error| error.to_string().replace(&prefix, ""))
    }
}

#[track_caller]
fn check_error(given: &Given<'_>, expected: &str) {
    assert_eq!(given.load().unwrap_err(), expected);
}

#[test]
fn the_reference_alone_is_valid() {
    let loaded = Given::default().load().unwrap();
    assert_eq!(loaded.settings.orchestrator.port, 8080);
    assert_eq!(loaded.settings.tracking.artifact_bucket, "mlflows3");
    assert!(loaded.settings.tracking.uri.is_none());
    assert!(loaded.settings.connections["warehouse"].url.is_none());
    assert!(loaded.entries.values().all(|entry| entry.origin.is_default()));
}

#[test]
fn each_place_wins_over_the_ones_below() {
    let mut given = Given {
        file: "[serving]\nport = 1001",
        ..Given::default()
    };
    let port = |given: &Given<'_>| given.load().unwrap().settings.serving.port;
    assert_eq!(port(&given), 1001);
    given.dot_env = "FRAGUA__SERVING__PORT=1002";
    assert_eq!(port(&given), 1002);
    given.environment = &[("FRAGUA__SERVING__PORT", "1003")];
    assert_eq!(port(&given), 1003);
    given.command_line = &[("serving.port", "1004")];
    assert_eq!(port(&given), 1004);
}

#[test]
fn the_environment_wins_over_dot_env_whatever_the_name() {
    let given = Given {
        dot_env: "FRAGUA__STORAGE__ENDPOINT=http://one:1",
        environment: &[("MLFLOW_S3_ENDPOINT_URL", "http://two:2")],
        ..Given::default()
    };
    let endpoint = given.load().unwrap().settings.storage.endpoint.unwrap();
    assert_eq!(endpoint.shown(), "http://two:2");
}

#[test]
fn our_own_name_wins_over_a_foreign_one_in_the_same_place() {
    let given = Given {
        environment: &[
            ("FRAGUA__STORAGE__ENDPOINT", "http://own:1"),
            ("MLFLOW_S3_ENDPOINT_URL", "http://foreign:2"),
        ],
        ..Given::default()
    };
    let endpoint = given.load().unwrap().settings.storage.endpoint.unwrap();
    assert_eq!(endpoint.shown(), "http://own:1");
}

#[test]
fn a_bad_value_names_key_and_place() {
    let message = "99999 is not a port: give a number from 0 (any free port) to 65535";
    check_error(
        &Given {
            file: "\n[serving]\nport = 99999",
            ..Given::default()
        },
        &format!("bad setting serving.port (fragua.toml:3): {message}"),
    );
    check_error(
        &Given {
            dot_env: "# ports\nFRAGUA__SERVING__PORT=99999",
            ..Given::default()
        },
        &format!("bad setting serving.port (FRAGUA__SERVING__PORT in .env:2): {message}"),
    );
    check_error(
        &Given {
            environment: &[("FRAGUA__SERVING__PORT", "99999")],
            ..Given::default()
        },
        &format!("bad setting serving.port (environment variable FRAGUA__SERVING__PORT): {message}"),
    );
    check_error(
        &Given {
            command_line: &[("serving.port", "99999")],
            ..Given::default()
        },
        &format!("bad setting serving.port (command line, --set): {message}"),
    );
}

#[test]
fn a_value_of_the_wrong_type_is_shown_unless_it_may_be_secret() {
    check_error(
        &Given {
            file: "[serving]\nport = \"8o85\"",
            ..Given::default()
        },
        "bad setting serving.port (fragua.toml:2): \"8o85\" is not a whole number",
    );
    check_error(
        &Given {
            file: "[storage]\nsecret_access_key = 12345678",
            ..Given::default()
        },
        "bad setting storage.secret_access_key (fragua.toml:2): the value is not a text in quotes",
    );
    check_error(
        &Given {
            file: "[storage]\nendpoint = \"ftp://user:hunter2@host\"",
            ..Given::default()
        },
        "bad setting storage.endpoint (fragua.toml:2): is not an address such as http://host:9000",
    );
}

#[test]
fn a_value_outside_its_choices_names_them() {
    check_error(
        &Given {
            file: "[orchestrator]\nexecutor = \"celery\"",
            ..Given::default()
        },
        "bad setting orchestrator.executor (fragua.toml:2): unknown variant `celery`, expected `local` or `workers`",
    );
    check_error(
        &Given {
            environment: &[("FRAGUA__SERVER__ROLES", "tracking,web")],
            ..Given::default()
        },
        "bad setting server.roles (environment variable FRAGUA__SERVER__ROLES): unknown variant `web`, expected one of \
         `orchestrator`, `worker`, `tracking`, `storage`, `serving`, `app`, `source`",
    );
}

#[test]
fn every_wrong_setting_is_told_at_once() {
    check_error(
        &Given {
            file: "[servng]\nport = 1\n[worker]\nslots = -1",
            environment: &[("AIRFLOW__CORE__EXECUTOR", "DaskExecutor")],
            ..Given::default()
        },
        "3 bad settings\n  \
         servng.port (fragua.toml:2): there is no such setting; did you mean serving.port?\n  \
         orchestrator.executor (environment variable AIRFLOW__CORE__EXECUTOR): the executor \"DaskExecutor\" is not \
         offered; use LocalExecutor (tasks beside the scheduler) or CeleryExecutor (tasks on the role `worker`)\n  \
         worker.slots (fragua.toml:4): -1 is below 0",
    );
}

#[test]
fn a_broken_file_is_a_message_with_a_place() {
    let error = Given {
        file: "[serving]\nport = = 1",
        ..Given::default()
    }
    .load()
    .unwrap_err();
    assert!(error.starts_with("bad setting fragua.toml:2:"), "{error}");
    check_error(
        &Given {
            dot_env: "A=1\nthis is 'hunter2",
            ..Given::default()
        },
        "bad setting .env:2:1: is not NAME=value; quote a value that has spaces or special characters",
    );
}

#[test]
fn a_secret_is_read_from_a_file_without_its_line_end() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, "hunter2\n").unwrap();
    let loaded = Given {
        environment: &[("FRAGUA__STORAGE__SECRET_ACCESS_KEY_FILE", path.to_str().unwrap())],
        ..Given::default()
    }
    .load()
    .unwrap();
    assert_eq!(
        loaded
            .settings
            .storage
            .secret_access_key
            .as_ref()
            .unwrap()
            .expose(),
        "hunter2"
    );
    let origin = loaded.origin("storage.secret_access_key").to_string();
    assert!(
        origin.ends_with("named by environment variable FRAGUA__STORAGE__SECRET_ACCESS_KEY_FILE"),
        "{origin}"
    );
}

#[test]
fn a_secret_file_that_is_missing_names_key_variable_and_path() {
    check_error(
        &Given {
            environment: &[("FRAGUA__DATABASE__URL_FILE", "/does/not/exist")],
            ..Given::default()
        },
        "bad setting database.url (environment variable FRAGUA__DATABASE__URL_FILE): the file /does/not/exist cannot \
         be read: No such file or directory (os error 2)",
    );
}

#[test]
fn secrets_are_not_printed() {
    let loaded = Given {
        environment: &[
            ("FRAGUA__DATABASE__URL", "postgres://u:hunter2@h/d"),
            ("AWS_ACCESS_KEY_ID", "hunter2id"),
            ("AWS_SECRET_ACCESS_KEY", "hunter2"),
            ("AIRFLOW_CONN_X", "mysql://u:hunter2@h/d"),
            ("AIRFLOW_VAR_PASSWORD", "hunter2"),
            ("MLFLOW_TRACKING_URI", "http://u:hunter2@h"),
        ],
        ..Given::default()
    }
    .load()
    .unwrap();
    let listed = format!("{:?}", listed(&loaded));
    assert!(!listed.contains("hunter2"), "{listed}");
    assert!(listed.contains("***"), "{listed}");
    let printed = format!("{:?}", loaded.settings);
    assert!(!printed.contains("hunter2\""), "{printed}");
    assert!(!printed.contains("u:hunter2"), "{printed}");
}

#[test]
fn names_that_people_choose_may_hold_dots() {
    let loaded = Given {
        file: "[variables]\n\"a.b\" = { c = 1 }\nlist = [1, 2]\n[connections]\ndata = { url = \"http://x\" }",
        ..Given::default()
    }
    .load()
    .unwrap();
    assert_eq!(loaded.settings.variables["a.b.c"].expose(), "1");
    assert_eq!(loaded.settings.variables["list"].expose(), "[1,2]");
    assert_eq!(
        loaded.settings.connections["data"].url.as_ref().unwrap().expose(),
        "http://x"
    );
}

#[test]
fn webhooks_of_buckets_have_names_and_their_secrets_are_not_shown() {
    let given = Given {
        file: "[object_webhooks.rows]\nurl = \"https://example.org/rows\"\nsecret = \"s\"",
        environment: &[("FRAGUA__OBJECT_WEBHOOKS__OTHER__URL", "https://example.org/other")],
        ..Given::default()
    };
    let loaded = given.load().unwrap();
    let webhooks = &loaded.settings.object_webhooks;
    assert_eq!(webhooks["rows"].url.expose(), "https://example.org/rows");
    assert_eq!(webhooks["rows"].secret.as_ref().unwrap().expose(), "s");
    assert!(webhooks["other"].secret.is_none());
    let listed = listed(&loaded);
    assert_eq!(listed["object_webhooks.rows.secret"].0, "***");
    assert_eq!(listed["object_webhooks.rows.url"].0, "***");
}

#[test]
fn the_address_of_our_own_role_is_no_other_server() {
    let check = |uri: &str, is_other: bool| {
        let loaded = Given {
            environment: &[("MLFLOW_TRACKING_URI", uri)],
            ..Given::default()
        }
        .load()
        .unwrap();
        assert_eq!(loaded.uses_other_tracking(), is_other, "{uri}");
    };
    check("http://127.0.0.1:8084", false);
    check("http://localhost:8084/", false);
    check("http://127.0.0.1:5000", true);
    check("http://mlflow:8084", true);
}
