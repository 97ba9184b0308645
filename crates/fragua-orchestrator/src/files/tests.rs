//! What becomes of DAGs when their files change.

use fragua_database::Database;

use super::*;
use crate::testing::Bench;

const ONE: &str = "dag: one\ntasks: [{ id: t, bash: echo }]\n";

async fn dag_ids(bench: &Bench) -> Vec<String> {
    bench
        .orchestrator()
        .list_dags()
        .await
        .unwrap()
        .into_iter()
        .map(|dag| dag.dag.dag_id.clone())
        .collect()
}

async fn errors(bench: &Bench) -> Vec<String> {
    bench
        .orchestrator()
        .import_errors()
        .await
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect()
}

async fn files_come_break_heal_and_go(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("one.yaml", ONE).await;
    bench.write("two.yml", &ONE.replace("dag: one", "dag: two")).await;
    bench.write("notes.txt", "dag: three").await;
    bench
        .write(".hidden.yaml", &ONE.replace("dag: one", "dag: four"))
        .await;
    assert_eq!(dag_ids(&bench).await, ["one", "two"]);

    bench
        .write("one.yaml", "dag: one\ntasks: [{ id: t, bsh: echo }]\n")
        .await;
    assert_eq!(
        errors(&bench).await,
        ["one.yaml:2:18: unknown key \"bsh\" (did you mean bash?)"]
    );
    assert_eq!(
        dag_ids(&bench).await,
        ["one", "two"],
        "a broken file leaves its DAG as it was"
    );
    assert!(bench.orchestrator().dag("one").await.unwrap().has_import_errors);

    bench.write("one.yaml", ONE).await;
    assert_eq!(errors(&bench).await, [] as [&str; 0]);
    bench.remove("two.yml").await;
    assert_eq!(dag_ids(&bench).await, ["one"]);
    let gone = bench.orchestrator().dag("two").await.unwrap();
    assert!(!gone.is_active);
    let trigger = bench
        .orchestrator()
        .trigger("two", crate::TriggerRequest::default())
        .await;
    assert!(matches!(trigger, Err(Error::DagNotFound { .. })));
    bench
        .write("three.yaml", &ONE.replace("dag: one", "dag: two"))
        .await;
    assert_eq!(
        bench.orchestrator().dag("two").await.unwrap().path,
        Path::new("three.yaml")
    );
}

async fn a_command_that_read_the_files_started_a_run_that_nobody_worked_on(database: Database) {
    let bench = Bench::new(database).await;
    let dag = "dag: d\nschedule: '@daily'\nstart_date: 2025-04-02\ntasks: [{ id: t, bash: echo }]\n";
    std::fs::write(bench.core.settings.dags_folder.join("d.yaml"), dag).unwrap();
    bench.orchestrator().read_dag_files().await.unwrap();
    assert_eq!(dag_ids(&bench).await, ["d"]);
    assert_eq!(bench.runs("d").await, []);
    // The scheduler that starts later finds what is due.
    crate::scheduler::plan_everything_active(&bench.core)
        .await
        .unwrap();
    assert_eq!(bench.runs("d").await.len(), 1);
}

async fn a_name_belongs_to_the_first_file(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("b.yaml", ONE).await;
    bench.write("c.yaml", &format!("# the same\n{ONE}")).await;
    assert_eq!(
        errors(&bench).await,
        ["c.yaml:2:1: there is another DAG \"one\", in b.yaml (give one of them another name)"]
    );
    bench.remove("b.yaml").await;
    assert_eq!(errors(&bench).await, [] as [&str; 0]);
    assert_eq!(
        bench.orchestrator().dag("one").await.unwrap().path,
        Path::new("c.yaml")
    );
    assert_eq!(
        bench.orchestrator().dag_source("one").await.unwrap(),
        Some(format!("# the same\n{ONE}"))
    );
}

async fn a_new_dag_rests_where_the_settings_say_so(database: Database) {
    let mut bench = Bench::new(database).await;
    let core = std::sync::Arc::get_mut(&mut bench.core).unwrap();
    core.settings.dags_are_paused_at_creation = true;
    bench.write("one.yaml", ONE).await;
    assert!(bench.orchestrator().dag("one").await.unwrap().is_paused);
    bench.orchestrator().set_paused("one", false).await.unwrap();
    bench.write("one.yaml", &ONE.replace("echo", "date")).await;
    assert!(!bench.orchestrator().dag("one").await.unwrap().is_paused);
}

async fn a_text_can_stand_in_a_file_of_its_own(database: Database) {
    let mut bench = Bench::new(database).await;
    let dags = bench.core.settings.dags_folder.clone();
    fs::create_dir_all(dags.join("sales/sql")).unwrap();
    let dag = "dag: d\ntasks:\n  - { id: sh, bash: load.sh }\n  - { id: sql, sql: { connection: w, statements: [sql/report.sql] } }\n";
    bench.write("sales/d.yaml", dag).await;
    let hint = "put it beside the DAG file; what is no template file needs a space";
    assert_eq!(
        errors(&bench).await,
        [
            format!("sales/d.yaml:3:15: there is no template file \"load.sh\" ({hint})"),
            format!("sales/d.yaml:4:51: there is no template file \"sql/report.sql\" ({hint})"),
        ]
    );
    // One beside the DAG file, one in the folder of all of them.
    fs::write(dags.join("sales/load.sh"), "echo {{ ds }}\n").unwrap();
    bench
        .write("sales/sql/report.sql", "DELETE FROM sales WHERE day = '{{ ds }}'")
        .await;
    assert_eq!(errors(&bench).await, [] as [&str; 0]);
    let arguments = async |bench: &Bench| -> Vec<String> {
        let dag = bench.orchestrator().dag("d").await.unwrap().dag;
        dag.tasks.iter().map(|task| task.arguments.to_string()).collect()
    };
    assert_eq!(
        arguments(&bench).await,
        [
            "\"echo {{ ds }}\\n\"",
            "{\"connection\":\"w\",\"statements\":[\"DELETE FROM sales WHERE day = '{{ ds }}'\"]}",
        ]
    );
    let version = bench.orchestrator().dag("d").await.unwrap().version;
    bench.write("sales/load.sh", "echo {{ ds }} {{ ts }}").await;
    assert_ne!(bench.orchestrator().dag("d").await.unwrap().version, version);
    assert_eq!(arguments(&bench).await[0], "\"echo {{ ds }} {{ ts }}\"");
    bench.write("sales/load.sh", "echo {{ ds").await;
    assert!(errors(&bench).await[0].contains("the template cannot be read"));
}

async fn no_template_file_lies_outside_of_the_folder(database: Database) {
    let mut bench = Bench::new(database).await;
    let dags = bench.core.settings.dags_folder.clone();
    fs::write(dags.parent().unwrap().join("secret.sh"), "echo").unwrap();
    std::os::unix::fs::symlink("../secret.sh", dags.join("link.sh")).unwrap();
    fs::write(dags.join("large.sh"), vec![b'#'; 1024 * 1024 + 1]).unwrap();
    fs::write(dags.join("latin.sh"), b"echo \xf1").unwrap();
    for (name, expected) in [
        ("../secret.sh", "is not in the folder of DAG files"),
        ("/etc/profile.sh", "is not in the folder of DAG files"),
        ("link.sh", "it leads out of the folder of DAG files"),
        ("large.sh", "more than 1048576"),
        ("latin.sh", "valid UTF-8"),
    ] {
        bench
            .write("d.yaml", &format!("dag: d\ntasks: [{{ id: t, bash: {name} }}]\n"))
            .await;
        let errors = errors(&bench).await;
        assert!(
            errors.len() == 1 && errors[0].contains(expected),
            "{name}: {errors:?}"
        );
    }
    // What has a space, or more than a name, is a command.
    for command in ["./load.sh rows", "sh -c ./load.sh", "'{{ params.script }}.sh'"] {
        let dag = format!("dag: d\nparams: {{ script: x }}\ntasks: [{{ id: t, bash: {command} }}]\n");
        bench.write("d.yaml", &dag).await;
        assert_eq!(errors(&bench).await, [] as [&str; 0], "{command}");
    }
}

fragua_database::each_engine!(engines:
    a_command_that_read_the_files_started_a_run_that_nobody_worked_on,
    a_text_can_stand_in_a_file_of_its_own,
    no_template_file_lies_outside_of_the_folder,
    files_come_break_heal_and_go,
    a_name_belongs_to_the_first_file,
    a_new_dag_rests_where_the_settings_say_so,
);

#[test]
fn only_what_changed_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.yaml");
    let catalog = OperatorCatalog::builtin();
    let mut files = Files::default();
    assert!(!files.refresh(folder.path(), &catalog));
    fs::write(&path, ONE).unwrap();
    assert!(files.refresh(folder.path(), &catalog));
    assert!(!files.refresh(folder.path(), &catalog));
    fs::write(&path, ONE).unwrap();
    assert!(
        !files.refresh(folder.path(), &catalog),
        "the same text is no change"
    );
    fs::write(&path, "dag: two").unwrap();
    assert!(files.refresh(folder.path(), &catalog));
    fs::write(&path, vec![b' '; 1024 * 1024 + 1]).unwrap();
    assert!(files.refresh(folder.path(), &catalog));
    let (dags, errors) = files.dags(folder.path());
    assert!(dags.is_empty());
    assert!(
        errors[0].to_string().contains("it has 1048577 bytes"),
        "{}",
        errors[0]
    );
    fs::remove_file(&path).unwrap();
    assert!(files.refresh(folder.path(), &catalog));
}
