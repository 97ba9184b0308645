use super::*;

fn parse_text(text: &str) -> Result<Dag, Vec<ImportError>> {
    parse(
        Path::new("file.yaml"),
        text.as_bytes(),
        &OperatorCatalog::builtin(),
    )
}

/// Each error as `line:column: message (hint)`.
fn check(text: &str, expected: &[&str]) {
    let errors = parse_text(text).expect_err(text);
    let shown: Vec<String> = errors
        .iter()
        .map(|error| error.to_string().trim_start_matches("file.yaml:").to_owned())
        .collect();
    assert_eq!(shown, expected, "{text}");
}

#[test]
fn a_whole_file_is_read() {
    let dag = parse_text(
        r#"
dag: data_loading_dag
description: Loads.
tags: [data]
schedule: "@daily"
timezone: Europe/Madrid
start_date: 2025-04-02
end_date: 2025-04-11
catchup: true
max_active_runs: 1
dagrun_timeout: 1h
default_args: { owner: airflow, retries: 3, retry_delay: 5s }
params:
  rows: 5
  group: { type: integer, default: 7, minimum: 1, maximum: 10 }
tasks:
  - id: min_delay_6
    wait: "{{ params.rows }}s"
  - id: load
    needs: [min_delay_6]
    retries: 1
    execution_timeout: 30
    trigger_rule: all_done
    bash:
      command: |
        echo {{ ds }}
"#,
    )
    .unwrap();
    assert_eq!(dag.dag_id, "data_loading_dag");
    assert_eq!(dag.owner.as_deref(), Some("airflow"));
    assert_eq!(
        dag.timetable.start_date.unwrap().to_rfc3339(),
        "2025-04-01T22:00:00Z"
    );
    assert_eq!(dag.dagrun_timeout, Some(Duration::from_secs(3600)));
    assert_eq!(dag.params["rows"].default, Some(5.into()));
    assert_eq!(dag.params["group"].maximum, Some(10.0));
    let [wait, load] = dag.tasks.as_slice() else {
        panic!("{:?}", dag.tasks)
    };
    assert_eq!((wait.retries, wait.retry_delay), (3, Duration::from_secs(5)));
    assert_eq!(
        (load.retries, load.execution_timeout),
        (1, Some(Duration::from_secs(30)))
    );
    assert_eq!(load.trigger_rule, crate::TriggerRule::AllDone);
    assert_eq!(load.argument_line("/command"), Some(25));
    assert_eq!(load.argument_line("/env/X"), Some(24));
    assert_eq!(dag.edges().collect::<Vec<_>>(), [("min_delay_6", "load")]);
    let again: Dag = serde_json::from_str(&serde_json::to_string(&dag).unwrap()).unwrap();
    assert_eq!(again, dag, "what is kept is what was read");
}

#[test]
fn unknown_keys_are_errors_with_a_hint() {
    check(
        "dag: a\nshedule: none\ntasks: [{ id: t, bash: echo }]\n",
        &["2:1: unknown key \"shedule\" (did you mean schedule?)"],
    );
    check(
        "dag: a\ntasks:\n  - id: t\n    comand: echo\n",
        &[
            "4:5: unknown key \"comand\" (the keys known here are bash, http_to_table, python, sql, wait, id, description, needs, retries, retry_delay, execution_timeout, trigger_rule)",
        ],
    );
    check(
        "dag: a\ntasks:\n  - id: t\n    bsh: echo\n",
        &["4:5: unknown key \"bsh\" (did you mean bash?)"],
    );
    check(
        "dag: a\ntasks:\n  - id: t\n    retry: 1\n    bash: echo\n",
        &["4:5: unknown key \"retry\" (did you mean retries?)"],
    );
    check(
        "dag: a\ndefault_args: { retrys: 1 }\ntasks: [{ id: t, bash: echo }]\n",
        &[
            "2:17: unknown key `retrys`, expected one of `owner`, `retries`, `retry_delay`, `execution_timeout`, `trigger_rule`",
        ],
    );
}

#[test]
fn a_task_has_exactly_one_operator() {
    check(
        "dag: a\ntasks:\n  - id: t\n",
        &["3:5: the task names no operator (add one of bash, http_to_table, python, sql, wait)"],
    );
    check(
        "dag: a\ntasks:\n  - id: t\n    bash: echo\n    wait: 5s\n",
        &["5:5: the task names 2 operators: bash, wait (make one task of each)"],
    );
}

#[test]
fn arguments_are_checked_at_their_line() {
    check(
        "dag: a\ntasks:\n  - id: t\n    wait: soon\n",
        &["4:5: wait: \"soon\" is not a duration such as 90s, 5m, 1h30m or 2d"],
    );
    check(
        "dag: a\ntasks:\n  - id: t\n    http_to_table:\n      url: http://h\n      rows: data\n      columns: [a, b,\n                a]\n      connection: w\n      table: t\n",
        &["8:17: http_to_table: column \"a\" stands here twice"],
    );
    check(
        "dag: a\ntasks:\n  - id: t\n    bash:\n      command: echo\n      envs: {}\n",
        &["6:7: bash: unknown key `envs`, expected `command` or `env`"],
    );
    check(
        "dag: a\ntasks:\n  - id: t\n    bash: echo {{ ds\n",
        &[
            "4:5: the template cannot be read: syntax error: unexpected end of input, expected end of variable block in `ds`",
        ],
    );
}

#[test]
fn values_of_the_wrong_kind_are_named() {
    check(
        "dag: a\ntasks: [{ id: t, bash: echo, retries: many }]\n",
        &["2:30: retries: expected a whole number, found string \"many\""],
    );
    check(
        "dag: a\nschedule: { every: 1h }\ntasks: [{ id: t, bash: echo }]\n",
        &["2:1: schedule: expected a text, found map"],
    );
    check(
        "dag: a\ntags: [a, [b]]\ntasks: [{ id: t, bash: echo }]\n",
        &["2:11: tags: expected a text, found sequence"],
    );
    check(
        "dag: a\ntasks: [{ id: t, bash: echo, retry_delay: soon }]\n",
        &["2:30: \"soon\" is not a duration such as 90s, 5m, 1h30m or 2d"],
    );
    check(
        "dag: a\nschedule: daily\ntasks: [{ id: t, bash: echo }]\n",
        &[
            "2:1: \"daily\" is not a schedule: write a preset such as @daily, five cron fields such as `30 6 * * 1-5`, an interval such as `every 5m`, or none",
        ],
    );
    check(
        "dag: a\nstart_date: soon\ntasks: [{ id: t, bash: echo }]\n",
        &["2:1: \"soon\" is not a date (write 2025-04-02, 2025-04-02T06:00 or 2025-04-02T06:00:00+02:00)"],
    );
    check(
        "dag: a\ntimezone: Spain\ntasks: [{ id: t, bash: echo }]\n",
        &["2:1: there is no time zone \"Spain\" (write an IANA name such as Europe/Madrid)"],
    );
    check(
        "dag: a/b\ntasks: [{ id: t, bash: echo }]\n",
        &[
            "1:1: \"a/b\" cannot be a name: use up to 200 letters, digits, dashes, dots and underscores, not a dot first",
        ],
    );
    check("tasks: [{ id: t, bash: echo }]\n", &["1:1: missing key `dag`"]);
    check("dag: a\n", &["1:1: a DAG has a list of tasks, at least one"]);
    check(
        "[a]\n",
        &["1:1: a DAG file is a mapping with the keys dag and tasks"],
    );
}

#[test]
fn meaning_is_checked_too() {
    check(
        "dag: a\ntasks:\n  - { id: one, bash: echo }\n  - id: two\n    needs: [on]\n    bash: echo\n",
        &["5:13: task \"two\" needs \"on\", which is no task of this DAG (did you mean one?)"],
    );
    check(
        "dag: a\ntasks:\n  - { id: one, needs: [three], bash: echo }\n  - { id: two, needs: [one], bash: echo }\n  - { id: three, needs: [two], bash: echo }\n  - { id: four, needs: [three], bash: echo }\n",
        &[
            "3:16: the tasks need each other in a circle: one → two → three → one (remove one of these from needs)",
        ],
    );
    check(
        "dag: a\ntasks: [{ id: t, needs: [t], bash: echo }]\n",
        &["2:26: task \"t\" needs itself"],
    );
    check(
        "dag: a\ntasks:\n  - { id: t, bash: echo }\n  - { id: t, bash: echo }\n",
        &["4:7: there is another task \"t\", in line 3 (give one of them another id)"],
    );
    check(
        "dag: a\ntasks: [{ id: t, wait: { dag: a } }]\n",
        &["2:18: a DAG cannot wait for itself"],
    );
    check(
        "dag: a\nschedule: '@daily'\nparams:\n  confirm: { required: true }\ntasks: [{ id: t, bash: echo }]\n",
        &[
            "4:3: nobody gives confirm to a run that the schedule starts (set schedule: none, or give the parameter a default)",
        ],
    );
    check(
        "dag: a\nparams:\n  n: { type: integer, default: many }\n  m: { type: integer }\ntasks: [{ id: t, bash: echo }]\n",
        &[
            "3:3: the default of parameter \"n\" must be a whole number, not \"many\"",
            "4:3: parameter \"m\" has no default (give it a default, or say `required: true`)",
        ],
    );
    check(
        "dag: a\nschedule: '@daily'\ncatchup: true\ntasks: [{ id: t, bash: echo }]\n",
        &["3:1: catchup needs a start_date to begin at (add start_date)"],
    );
    check(
        "dag: a\nstart_date: 2025-04-02\nend_date: 2025-04-01\ntasks: [{ id: t, bash: echo }]\n",
        &["3:1: end_date is before start_date"],
    );
}

#[test]
fn what_is_no_yaml_is_an_error_with_its_place() {
    let place = |bytes: &[u8]| {
        let errors = parse(Path::new("f.yaml"), bytes, &OperatorCatalog::builtin()).unwrap_err();
        assert_eq!(errors.len(), 1);
        (errors[0].line, errors[0].message.clone())
    };
    let (line, message) = place(b"dag: a\ntasks: [\n");
    assert!(line.is_some_and(|line| line >= 2), "{message}");
    assert!(message.starts_with("the YAML cannot be read"), "{message}");
    let (line, message) = place(b"dag: a\ndag: b\n");
    assert_eq!(line, Some(2), "{message}");
    assert_eq!(
        place(b"dag: a\nx: \xff\n"),
        (Some(2), "the file is not UTF-8".to_owned())
    );
    let (line, message) = place(&vec![b' '; 1024 * 1024 + 1]);
    assert_eq!(line, None);
    assert!(message.contains("1048577 bytes"), "{message}");
}

#[test]
fn several_errors_are_told_at_once_in_order() {
    check(
        "dag: a\ntasks:\n  - id: one\n    wait: soon\n  - id: two\n    comand: echo\n  - id: three\n    needs: [one, two, four]\n    bash: echo\n",
        &[
            "4:5: wait: \"soon\" is not a duration such as 90s, 5m, 1h30m or 2d",
            "6:5: unknown key \"comand\" (the keys known here are bash, http_to_table, python, sql, wait, id, description, needs, retries, retry_delay, execution_timeout, trigger_rule)",
            "8:23: task \"three\" needs \"four\", which is no task of this DAG (the tasks are one, three, two)",
        ],
    );
}

#[test]
fn the_nearest_word_is_found() {
    assert_eq!(distance("schedule", "shedule"), 1);
    assert_eq!(distance("", "abc"), 3);
    assert_eq!(distance("kitten", "sitting"), 3);
}
