//! The DAGs that both sides run: each is written once as Fragua reads it and once as Airflow does.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// A DAG of tasks that all do the same.
pub(super) struct Shape {
    pub(super) dag_id: String,
    pub(super) tasks: usize,
    /// Whether each task comes after the one before; otherwise none waits for another.
    pub(super) is_chain: bool,
    /// What each task runs with `bash`; nothing for tasks that have nothing to do, which the scheduler ends itself.
    pub(super) command: Option<String>,
    pub(super) description: String,
    /// Whether it has a schedule, whose first run is due long after this bench.
    pub(super) is_scheduled: bool,
}

impl Shape {
    pub(super) fn chain(dag_id: &str, tasks: usize, command: &str) -> Self {
        Self {
            dag_id: dag_id.to_owned(),
            tasks,
            is_chain: true,
            command: Some(command.to_owned()),
            description: "one".to_owned(),
            is_scheduled: false,
        }
    }

    pub(super) fn yaml(&self) -> String {
        let mut text = format!("dag: {}\ndescription: {}\n", self.dag_id, self.description);
        if self.is_scheduled {
            text.push_str("schedule: \"@daily\"\nstart_date: 2100-01-01\n");
        }
        text.push_str("tasks:\n");
        let work = match &self.command {
            Some(command) => format!("bash: {command:?}"),
            None => "empty: {}".to_owned(),
        };
        for task in 0..self.tasks {
            let needs = match self.is_chain && task > 0 {
                true => format!("needs: [t{}], ", task - 1),
                false => String::new(),
            };
            let _ = writeln!(text, "  - {{ id: t{task}, {needs}{work} }}");
        }
        text
    }

    pub(super) fn python(&self) -> String {
        let schedule = match self.is_scheduled {
            true => "schedule='@daily', start_date=datetime(2100, 1, 1)",
            false => "schedule=None",
        };
        let operator = match &self.command {
            Some(command) => format!("BashOperator(task_id=f't{{n}}', bash_command={command:?})"),
            None => "EmptyOperator(task_id=f't{n}')".to_owned(),
        };
        let mut text = String::from(
            "from datetime import datetime\n\
             from airflow.providers.standard.operators.bash import BashOperator\n\
             from airflow.providers.standard.operators.empty import EmptyOperator\n\
             from airflow.sdk import DAG\n",
        );
        let (dag_id, description, tasks) = (&self.dag_id, &self.description, self.tasks);
        let _ = writeln!(
            text,
            "with DAG({dag_id:?}, description={description:?}, {schedule}):"
        );
        let _ = writeln!(text, "    tasks = [{operator} for n in range({tasks})]");
        if self.is_chain {
            text.push_str("    for before, after in zip(tasks, tasks[1:]):\n        before >> after\n");
        }
        text
    }

    /// Writes the file in one go, as editors do: nobody sees half of it.
    pub(super) fn write(&self, folder: &Path, is_python: bool) -> Result<()> {
        let (extension, text) = match is_python {
            true => ("py", self.python()),
            false => ("yaml", self.yaml()),
        };
        let unfinished = folder.join(format!(".{}.unfinished", self.dag_id));
        fs::write(&unfinished, text)
            .and_then(|()| fs::rename(&unfinished, folder.join(format!("{}.{extension}", self.dag_id))))
            .with_context(|| format!("cannot write the DAG {}", self.dag_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_are_given_the_same_tasks() {
        let shape = Shape::chain("two", 2, "true");
        assert_eq!(
            shape.yaml(),
            "dag: two\ndescription: one\ntasks:\n  - { id: t0, bash: \"true\" }\n  - { id: t1, needs: [t0], bash: \"true\" }\n"
        );
        let python = shape.python();
        assert!(
            python.contains("with DAG(\"two\", description=\"one\", schedule=None):"),
            "{python}"
        );
        assert!(
            python.contains("BashOperator(task_id=f't{n}', bash_command=\"true\") for n in range(2)"),
            "{python}"
        );
    }
}
