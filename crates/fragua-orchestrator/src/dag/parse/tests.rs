use super::*;
use crate::dag::{Addresses, DeadlineReference};

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
            "4:5: unknown key \"comand\" (the keys known here are bash, branch, empty, external_task, http_sensor, http_to_table, latest_only, object_sensor, python, short_circuit, sql, sql_sensor, time, time_delta, trigger_dag, wait, id, description, needs, setup, teardown, expand, map_index_template, outlets, retries, retry_delay, retry_exponential_backoff, max_retry_delay, execution_timeout, trigger_rule, depends_on_past, wait_for_downstream, pool, pool_slots, priority_weight, weight_rule, queue, do_xcom_push, multiple_outputs, max_active_tis_per_dag, max_active_tis_per_dagrun, on_failure_callback, on_retry_callback, on_success_callback, on_skipped_callback, deadline, email, email_on_failure, email_on_retry)",
        ],
    );
    check(
        "dag: a\ntasks:\n  - id: t\n    bsh: echo\n",
        &["4:5: unknown key \"bsh\" (did you mean bash?)"],
    );
    check(
        "dag: a\ntasks:\n  - id: t\n    bash_command: echo\n",
        &["4:5: unknown key \"bash_command\" (did you mean bash?)"],
    );
    check(
        "dag: a\ntasks:\n  - id: t\n    retry: 1\n    bash: echo\n",
        &["4:5: unknown key \"retry\" (did you mean retries?)"],
    );
    check(
        "dag: a\ndefault_args: { retrys: 1 }\ntasks: [{ id: t, bash: echo }]\n",
        &["2:17: unknown key \"retrys\" (did you mean retries?)"],
    );
}

#[test]
fn a_task_has_exactly_one_operator() {
    check(
        "dag: a\ntasks:\n  - id: t\n",
        &[
            "3:5: the task names no operator (add one of bash, branch, empty, external_task, http_sensor, http_to_table, latest_only, object_sensor, python, short_circuit, sql, sql_sensor, time, time_delta, trigger_dag, wait)",
        ],
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
        &["6:7: bash: unknown key `envs`; did you mean env?"],
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
    let (line, message) = place(b"dag: a\ntasks:\n  - id: t\n    bash: echo a: b\n");
    assert_eq!(line, Some(4), "{message}");
    assert!(message.contains("between single quotes"), "{message}");
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
            "6:5: unknown key \"comand\" (the keys known here are bash, branch, empty, external_task, http_sensor, http_to_table, latest_only, object_sensor, python, short_circuit, sql, sql_sensor, time, time_delta, trigger_dag, wait, id, description, needs, setup, teardown, expand, map_index_template, outlets, retries, retry_delay, retry_exponential_backoff, max_retry_delay, execution_timeout, trigger_rule, depends_on_past, wait_for_downstream, pool, pool_slots, priority_weight, weight_rule, queue, do_xcom_push, multiple_outputs, max_active_tis_per_dag, max_active_tis_per_dagrun, on_failure_callback, on_retry_callback, on_success_callback, on_skipped_callback, deadline, email, email_on_failure, email_on_retry)",
            "8:23: task \"three\" needs \"four\", which is no task of this DAG (the tasks are one, three, two)",
        ],
    );
}

#[test]
fn callbacks_and_assets_are_read() {
    let dag = parse_text(
        r#"
dag: d
schedule: { time: ["0 6 * * *", "30 18 * * 5"], assets: { any: [a, [b, c]] } }
start_date: 2025-04-02
fail_fast: true
max_consecutive_failed_dag_runs: 3
on_failure_callback: [{ webhook: alerts }, { email: "ana@example.com; eva@example.com" }]
deadline: { reference: logical_date, interval: 2h, callback: { webhook: "https://example.com/hook" } }
default_args: { email: ana@example.com, email_on_retry: false }
tasks:
  - { id: t, outlets: ["table://w/sales"], on_retry_callback: { webhook: alerts }, bash: echo }
  - { id: u, email: [eva@example.com], email_on_failure: false, expand: [1], map_index_template: "{{ map.item }}", bash: echo }
"#,
    )
    .unwrap();
    let email = |address: &str| Notifier::Email(Addresses(vec![address.to_owned()]));
    let alerts = || Notifier::Webhook("alerts".to_owned());
    assert_eq!(dag.timetable.schedule.to_string(), "0 6 * * * | 30 18 * * 5");
    assert_eq!(dag.assets.as_ref().unwrap().to_string(), "a | (b & c)");
    assert_eq!(
        (dag.fail_fast, dag.max_consecutive_failed_dag_runs),
        (true, Some(3))
    );
    let both = ["ana@example.com", "eva@example.com"].map(str::to_owned).to_vec();
    assert_eq!(
        dag.callbacks.on_failure,
        [alerts(), Notifier::Email(Addresses(both))]
    );
    let deadline = dag.callbacks.deadline.as_ref().unwrap();
    assert_eq!(deadline.reference, DeadlineReference::LogicalDate);
    assert_eq!(deadline.interval, Duration::from_secs(7200));
    assert_eq!(deadline.callback[0].to_string(), "webhook example.com");
    let (t, u) = (&dag.tasks[0], &dag.tasks[1]);
    assert_eq!(t.outlets, ["table://w/sales"]);
    assert_eq!(t.callbacks.on_failure, [email("ana@example.com")]);
    assert_eq!(t.callbacks.on_retry, [alerts()]);
    assert_eq!(u.callbacks, Callbacks::default());
    assert_eq!(u.map_index_template.as_deref(), Some("{{ map.item }}"));
    let kept = serde_json::to_string(&dag).unwrap();
    assert_eq!(serde_json::from_str::<Dag>(&kept).unwrap(), dag);
}

#[test]
fn what_callbacks_and_assets_cannot_be_is_told_at_its_place() {
    let with = |key: &str| format!("dag: a\n{key}\ntasks: [{{ id: t, bash: echo }}]\n");
    let said = |key: &str, expected: &str| {
        let errors = parse_text(&with(key)).expect_err(key);
        assert_eq!(errors[0].line, Some(2), "{key}: {errors:?}");
        assert!(errors[0].to_string().contains(expected), "{key}: {}", errors[0]);
    };
    said(
        "on_failure_callback: { slack: x }",
        "unknown variant `slack`, expected `webhook` or `email`",
    );
    said(
        "on_failure_callback: { webhook: 'ftp://x' }",
        "is not an address such as https://example.com/hook",
    );
    said(
        "on_failure_callback: { email: ana }",
        "\"ana\" is not an e-mail address",
    );
    said("on_failure_callback: { email: [] }", "no e-mail address is given");
    said(
        "deadline: { interval: soon, callback: { webhook: x } }",
        "is not a duration",
    );
    said("deadline: { interval: 1h }", "missing key `callback`");
    said(
        "deadline: { interval: 1h, reference: dawn, callback: [] }",
        "unknown variant `dawn`",
    );
    said(
        "schedule: { every: 1h }",
        "a schedule that is a mapping has the key assets",
    );
    said("schedule: { assets: [] }", "name at least one asset");
    said("schedule: { assets: ['a', ''] }", "cannot be an asset");
    said("schedule: { assets: a, cron: x }", "unknown key \"cron\"");
    said("schedule: ['0 6 * * *', often]", "is not a schedule");
    said("schedule: 5", "a text such as @daily");
    let rule = "dag: a\nfail_fast: true\ntasks: [{ id: t, trigger_rule: all_done, bash: echo }]\n";
    check(
        rule,
        &["3:18: with fail_fast the trigger_rule of each task is all_success (remove it, or fail_fast)"],
    );
    let template = "dag: a\ntasks: [{ id: t, map_index_template: x, bash: echo }]\n";
    check(
        template,
        &["2:18: map_index_template names the instances that expand makes (add expand, or remove it)"],
    );
}

#[test]
fn the_nearest_word_is_found() {
    assert_eq!(distance("schedule", "shedule"), 1);
    assert_eq!(distance("", "abc"), 3);
    assert_eq!(distance("kitten", "sitting"), 3);
}

#[test]
fn settings_of_tasks_are_read_over_the_defaults() {
    let dag = parse_text(
        "dag: a\nmax_active_tasks: 3\ndefault_args: { pool: small, retry_exponential_backoff: true, max_retry_delay: 1h }\ntasks:\n  - { id: one, bash: echo }\n  - { id: two, needs: [one], bash: echo, pool: big, pool_slots: 2, priority_weight: 5, weight_rule: absolute, queue: gpu, retry_exponential_backoff: 1.5, depends_on_past: true, max_active_tis_per_dag: 1, max_active_tis_per_dagrun: 2 }\n  - { id: three, needs: [two], bash: echo, wait_for_downstream: true, retry_exponential_backoff: false }\n",
    )
    .unwrap();
    let [one, two, three] = dag.tasks.as_slice() else {
        panic!("{:?}", dag.tasks)
    };
    assert_eq!(dag.max_active_tasks, 3);
    assert_eq!(
        (one.placement.pool.as_str(), one.retry_exponential_backoff),
        ("small", Some(2.0))
    );
    assert_eq!(one.max_retry_delay, Some(Duration::from_secs(3600)));
    assert_eq!(
        (two.placement.pool.as_str(), two.placement.pool_slots),
        ("big", 2)
    );
    assert_eq!(
        (two.placement.queue.as_str(), two.retry_exponential_backoff),
        ("gpu", Some(1.5))
    );
    assert_eq!(two.placement.max_active_tis_per_dag, Some(1));
    assert_eq!(two.placement.max_active_tis_per_dagrun, Some(2));
    assert!(two.depends_on_past && !two.wait_for_downstream);
    assert!(three.depends_on_past && three.wait_for_downstream);
    assert_eq!(three.retry_exponential_backoff, None);
    // Downstream counts what comes after; an absolute weight stands alone.
    assert_eq!(dag.effective_weights(), [1 + 5 + 1, 5, 1]);
    let again: Dag = serde_json::from_str(&serde_json::to_string(&dag).unwrap()).unwrap();
    assert_eq!(again, dag);
}

#[test]
fn what_settings_cannot_be_is_told_at_its_place() {
    check(
        "dag: a\ndefault_args: { retry_delay: soon }\ntasks:\n  - { id: t, bash: echo }\n  - { id: u, bash: echo }\n",
        &["2:17: \"soon\" is not a duration such as 90s, 5m, 1h30m or 2d"],
    );
    check(
        "dag: a\ntasks: [{ id: t, bash: echo, pool_slots: 0 }]\n",
        &["2:30: pool_slots must be at least 1"],
    );
    check(
        "dag: a\ntasks: [{ id: t, bash: echo, retry_exponential_backoff: 0.5 }]\n",
        &["2:30: retry_exponential_backoff must be at least 1 (write true for 2, or a number such as 1.5)"],
    );
    check(
        "dag: a\ntasks: [{ id: t, bash: echo, pool: a/b }]\n",
        &[
            "2:30: \"a/b\" cannot be a name: use up to 200 letters, digits, dashes, dots and underscores, not a dot first",
        ],
    );
    check(
        "dag: a\ntasks: [{ id: t, bash: echo, setup: true, teardown: true }]\n",
        &["2:43: a task cannot be setup and teardown at once (make one task of each)"],
    );
    check(
        "dag: a\ntasks: [{ id: t, bash: echo, expand: 5 }]\n",
        &["2:30: expand is a list, a mapping of names to lists, or a template that gives a list"],
    );
    check(
        "dag: a\nschedule: '@continuous'\ntasks: [{ id: t, bash: echo }]\n",
        &["2:1: @continuous lets one run follow another (add max_active_runs: 1)"],
    );
}

#[test]
fn groups_give_their_tasks_names_and_needs() {
    let dag = parse_text(
        "dag: a\ntasks:\n  - { id: first, bash: echo }\n  - group: load\n    needs: [first]\n    tasks:\n      - { id: read, bash: echo }\n      - group: check\n        needs: [read]\n        tasks:\n          - { id: rows, bash: echo }\n          - { id: types, bash: echo }\n      - { id: write, needs: [check, first], bash: echo }\n      - { id: alone, bash: echo }\n  - { id: last, needs: [load], bash: echo }\n",
    )
    .unwrap();
    let needs: Vec<String> = dag
        .tasks
        .iter()
        .map(|task| format!("{}: {}", task.task_id, task.needs.join(" ")))
        .collect();
    assert_eq!(
        needs,
        [
            "first: ",
            "load.read: first",
            "load.check.rows: load.read",
            "load.check.types: load.read",
            "load.write: load.check.rows load.check.types first",
            "load.alone: first",
            "last: load.alone load.write",
        ]
    );
    let groups: Vec<_> = dag
        .groups
        .iter()
        .map(|group| (group.group_id.as_str(), group.parent.as_deref()))
        .collect();
    assert_eq!(groups, [("load", None), ("load.check", Some("load"))]);
    assert_eq!(dag.tasks_in("load.check").count(), 2);
    assert_eq!(dag.tasks_in("load").count(), 5);
}

#[test]
fn a_group_that_is_made_instances_of_gives_its_list_to_its_tasks() {
    let text = "dag: a\ntasks:\n  - group: g\n    expand: [1, 2]\n    tasks:\n      - { id: t, bash: echo }\n      \
         - { group: h, tasks: [{ id: u, needs: [t], bash: echo }] }\n";
    let dag = parse_text(text).unwrap();
    for task in &dag.tasks {
        assert_eq!(task.mapped_group.as_deref(), Some("g"));
        assert_eq!(task.expand, Some(serde_json::json!([1, 2])));
    }
    assert_eq!(dag.tasks[1].needs, ["g.t"]);
    check(
        "dag: a\ntasks:\n  - group: g\n    expand: [1]\n    tasks:\n      - { id: t, expand: [1], bash: echo }\n",
        &[
            "6:18: a task in a group that is made several instances of cannot be, too (put the lists together at the group)",
        ],
    );
    check(
        "dag: a\ntasks:\n  - group: g\n    expand: [1]\n    tasks:\n      - { group: h, expand: [1], tasks: [{ id: t, bash: echo }] }\n",
        &["6:21: a group in one that is made several instances of cannot be, too"],
    );
}

#[test]
fn what_groups_cannot_be_is_told_at_its_place() {
    check(
        "dag: a\ntasks:\n  - group: g\n    need: [b]\n    tasks: [{ id: t, bash: echo }]\n",
        &["4:5: unknown key \"need\" (did you mean needs?)"],
    );
    check(
        "dag: a\ntasks:\n  - group: g\n    needs: [h]\n    tasks: [{ id: t, needs: [g], bash: echo }]\n  - { group: h, tasks: [] }\n",
        &[
            "5:30: task \"g.t\" cannot need a group that it is in, or that is in it",
            "6:5: group \"h\" has a list of tasks, at least one",
        ],
    );
    check(
        "dag: a\ntasks:\n  - { group: g, needs: [t], tasks: [{ id: t, needs: [u], bash: echo }] }\n  - { id: t, needs: [g], bash: echo }\n  - { id: u, bash: echo }\n",
        &["4:14: the tasks need each other in a circle: t → g.t → t (remove one of these from needs)"],
    );
    check(
        "dag: a\ntasks:\n  - { group: g, tasks: [{ id: t, bash: echo }] }\n  - { id: g, bash: echo }\n",
        &["3:7: there is another task \"g\", in line 4 (give one of them another id)"],
    );
    check(
        "dag: a\ntasks: [{ group: g.h, tasks: [{ id: t, bash: echo }] }]\n",
        &["2:11: \"g.h\" cannot be the name of a group: a dot stands between a group and what is in it"],
    );
}

#[test]
fn the_example_of_the_documentation_is_read() {
    let documentation = include_str!("../../../../../docs/dag-files.md");
    let (_, rest) = documentation.split_once("```yaml\n").unwrap();
    let (example, rest) = rest.split_once("```").unwrap();
    let dag = parse_text(example).unwrap();
    assert_eq!(dag.tasks.len(), 7);
    // Every key and every operator is told.
    let told = |name: &str| rest.contains(&format!("`{name}`"));
    let operators = OperatorCatalog::builtin();
    let keys = [DagFile::KEYS, DagFile::PARTS, TaskFile::KEYS, TaskSettings::KEYS].concat();
    let names = keys.into_iter().chain(operators.names());
    let untold: Vec<&str> = names.filter(|name| !told(name) && *name != "tasks").collect();
    assert_eq!(untold, Vec::<&str>::new());
}
