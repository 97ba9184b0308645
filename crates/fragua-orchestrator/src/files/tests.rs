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

fragua_database::each_engine!(engines:
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
