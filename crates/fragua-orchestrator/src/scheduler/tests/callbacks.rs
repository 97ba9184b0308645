//! Who is told what, by webhook and by mail, and when something is late.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use fragua_base::Secret;
use fragua_database::Database;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{failed, success};
use crate::operator::Connection;
use crate::scheduler::deliver::{self, deliver};
use crate::testing::{Bench, at};
use crate::{
    BackfillRequest, Callback, CallbackEvent, CallbackQuery, CallbackState, DagRunState, Error, Reprocess,
    Settings,
};

/// An HTTP server that answers with some statuses in turn, and with 200 after them.
struct Receiver {
    url: String,
    requests: mpsc::UnboundedReceiver<(HeaderMap, String)>,
    server: JoinHandle<()>,
}

type Script = (Arc<Mutex<Vec<u16>>>, mpsc::UnboundedSender<(HeaderMap, String)>);

impl Receiver {
    async fn start(mut statuses: Vec<u16>) -> Self {
        statuses.reverse();
        let (sender, requests) = mpsc::unbounded_channel();
        let router = Router::new()
            .route("/hook", post(receive))
            .with_state((Arc::new(Mutex::new(statuses)), sender));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            requests,
            server,
        }
    }

    fn connection(&self) -> Connection {
        Connection::new(self.url.replace("http://", "http://:hammer@"))
    }

    fn next(&mut self) -> (HeaderMap, Value) {
        let (headers, body) = self.requests.try_recv().unwrap();
        (headers, serde_json::from_str(&body).unwrap())
    }

    /// Returns what was told since the last look, as event and task.
    fn told(&mut self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        std::iter::from_fn(|| self.requests.try_recv().ok())
            .map(|(_, body)| serde_json::from_str::<Value>(&body).unwrap())
            .map(|body| (text(&body["event"]), text(&body["task_id"])))
            .collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn receive(
    State((statuses, requests)): State<Script>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, &'static str) {
    requests.send((headers, body)).unwrap();
    let status = statuses.lock().unwrap().pop().unwrap_or(200);
    (StatusCode::from_u16(status).unwrap(), "busy")
}

/// A mail server that takes everything, apart from mails to `nobody@`.
struct MailServer {
    port: u16,
    mails: mpsc::UnboundedReceiver<String>,
    server: JoinHandle<()>,
}

impl MailServer {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, mails) = mpsc::unbounded_channel();
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve_mail(stream, sender.clone()));
            }
        });
        Self { port, mails, server }
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve_mail(stream: tokio::net::TcpStream, mails: mpsc::UnboundedSender<String>) {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 test ESMTP\r\n").await.unwrap();
    let mut mail: Option<String> = None;
    let mut line = String::new();
    while stream.read_line(&mut line).await.is_ok_and(|length| length > 0) {
        let answer = match &mut mail {
            Some(text) if line == ".\r\n" => {
                mails.send(std::mem::take(text)).unwrap();
                mail = None;
                "250 taken\r\n"
            }
            Some(text) => {
                text.push_str(&line);
                ""
            }
            None if line.starts_with("EHLO") => "250 test\r\n",
            None if line.starts_with("RCPT TO:<nobody@") => "550 no such person\r\n",
            None if line.starts_with("DATA") => {
                mail = Some(String::new());
                "354 go on\r\n"
            }
            None => "250 ok\r\n",
        };
        stream.write_all(answer.as_bytes()).await.unwrap();
        line.clear();
    }
}

fn local(settings: &mut Settings) {
    settings.webhooks.allowed_schemes.push("http".to_owned());
    settings.webhooks.allow_private_addresses = true;
}

async fn tell(bench: &Bench) {
    deliver(&bench.core).await.unwrap();
}

async fn callbacks(bench: &Bench) -> Vec<Callback> {
    bench
        .orchestrator()
        .callbacks(&CallbackQuery::default())
        .await
        .unwrap()
}

async fn a_failure_is_told_until_it_is_taken(database: Database) {
    let mut receiver = Receiver::start(vec![503]).await;
    let mut bench = Bench::with(database, |settings| {
        local(settings);
        settings
            .connections
            .insert("alerts".to_owned(), receiver.connection());
    })
    .await;
    let dag = "dag: d\ntasks: [{ id: t, on_failure_callback: { webhook: alerts }, bash: echo }]\n";
    bench.write("d.yaml", dag).await;
    let run_id = bench.trigger("d").await;
    let lease = bench.claim_one("t").await;
    tell(&bench).await;
    assert_eq!(receiver.told(), []);
    bench.end(&lease, failed()).await;
    tell(&bench).await;
    let (headers, body) = receiver.next();
    assert_eq!(
        body["text"],
        format!("Task t of d, run {run_id}, failed: no rows")
    );
    assert_eq!(
        (&body["try_number"], &body["message"]),
        (&json!(1), &json!("no rows"))
    );
    let pending = callbacks(&bench).await.remove(0);
    assert_eq!((pending.state, pending.tries), (CallbackState::Pending, 1));
    assert_eq!(pending.message.as_deref(), Some("answered 503 busy"));
    assert_eq!(
        pending.next_try_at,
        Some(bench.core.now().plus(Duration::from_secs(1)))
    );
    // Not before its time.
    tell(&bench).await;
    bench.clock.advance(Duration::from_secs(1));
    tell(&bench).await;
    let again = receiver.next();
    assert_eq!(again, (headers.clone(), body.clone()), "each try is the same");
    let of = |name: &str| headers[name].to_str().unwrap().to_owned();
    let (id, seconds) = (of("x-fragua-delivery-id"), of("x-fragua-timestamp"));
    let signed = fragua_webhook::sign("hammer", &id, &seconds, &body.to_string());
    assert_eq!(of("x-fragua-signature"), signed);
    let delivered = callbacks(&bench).await.remove(0);
    assert_eq!((delivered.id.as_str(), delivered.tries), (id.as_str(), 2));
    assert_eq!(
        (delivered.state, delivered.next_try_at),
        (CallbackState::Delivered, None)
    );
    tell(&bench).await;
    assert_eq!(receiver.told(), []);
}

async fn a_slow_receiver_held_up_the_others(database: Database) {
    // Takes what it is told, and answers nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let slow = format!("http://{}/hook", silent.local_addr().unwrap());
    let mut receiver = Receiver::start(Vec::new()).await;
    let mut bench = Bench::with(database, local).await;
    for (dag, hook) in [("slow", &slow), ("quick", &receiver.url)] {
        let file = format!(
            "dag: {dag}\non_success_callback: {{ webhook: '{hook}' }}\ntasks: [{{ id: t, empty: {{}} }}]\n"
        );
        bench.write(&format!("{dag}.yaml"), &file).await;
    }
    bench.trigger("slow").await;
    let core = bench.core.clone();
    let postman = tokio::spawn(async move { deliver::run(&core).await });
    let (_held, _) = silent.accept().await.unwrap();
    bench.trigger("quick").await;
    let (_, body) = receiver.requests.recv().await.unwrap();
    assert!(body.contains("quick"), "{body}");
    postman.abort();
}

async fn each_end_tells_those_who_asked(database: Database) {
    let mut receiver = Receiver::start(Vec::new()).await;
    let mut bench = Bench::with(database, local).await;
    let hook = format!("{{ webhook: '{}' }}", receiver.url);
    let dag = format!(
        "dag: d\non_failure_callback: {hook}\non_success_callback: {hook}\n\
         default_args: {{ on_success_callback: {hook}, on_failure_callback: [{hook}], retry_delay: 1s }}\n\
         tasks:\n  - {{ id: a, retries: 1, on_retry_callback: {hook}, bash: echo }}\n  \
         - {{ id: b, needs: [a], on_skipped_callback: {hook}, bash: echo }}\n  \
         - {{ id: c, needs: [a], on_success_callback: [], empty: {{}} }}\n"
    );
    bench.write("d.yaml", &dag).await;
    let told = |told: &[(&str, &str)]| -> Vec<(String, String)> {
        told.iter()
            .map(|(event, task)| (event.to_string(), task.to_string()))
            .collect()
    };
    bench.trigger("d").await;
    bench.end(&bench.claim_one("a").await, failed()).await;
    tell(&bench).await;
    assert_eq!(receiver.told(), told(&[("task_retry", "a")]));
    bench.advance(Duration::from_secs(1)).await;
    bench.end(&bench.claim_one("a").await, success()).await;
    let skipped = crate::decide::Ending::Skipped {
        message: "nothing to do".to_owned(),
    };
    bench.end(&bench.claim_one("b").await, skipped).await;
    tell(&bench).await;
    let mut first = receiver.told();
    first.sort();
    let expected = [
        ("dag_run_success", "-"),
        ("task_skipped", "b"),
        ("task_success", "a"),
    ];
    assert_eq!(first, told(&expected));
    bench.trigger("d").await;
    let lease = bench.claim_one("a").await;
    let for_good = crate::decide::Ending::FailedForGood {
        message: "broken".to_owned(),
    };
    bench.end(&lease, for_good).await;
    tell(&bench).await;
    let mut second = receiver.told();
    second.sort();
    // What could not run because of it did not fail itself.
    assert_eq!(second, told(&[("dag_run_failed", "-"), ("task_failed", "a")]));
}

async fn mails_are_sent_as_default_args_say(database: Database) {
    let mut server = MailServer::start().await;
    let port = server.port;
    let mut bench = Bench::with(database, |settings| {
        let url = format!("smtp://127.0.0.1:{port}?from=fragua@example.com");
        settings
            .connections
            .insert("smtp_default".to_owned(), Connection::new(url));
    })
    .await;
    let dag = "dag: d\ndefault_args: { email: 'ana@example.com, eva@example.com', email_on_retry: false, retries: 1 }\n\
         tasks:\n  - { id: t, bash: echo }\n  - { id: u, email: nobody@example.com, email_on_failure: false, email_on_retry: true, bash: echo }\n";
    bench.write("d.yaml", dag).await;
    let run_id = bench.trigger("d").await;
    for lease in bench.claim(2).await {
        bench.end(&lease, failed()).await;
    }
    tell(&bench).await;
    assert!(server.mails.try_recv().is_err());
    let refused = callbacks(&bench).await.remove(0);
    assert_eq!(
        (refused.event, refused.state),
        (CallbackEvent::TaskRetry, CallbackState::Failed)
    );
    assert_eq!(refused.notifier, "email nobody@example.com");
    let message = refused.message.unwrap();
    assert!(message.contains("no such person"), "{message}");
    bench.advance(Duration::from_secs(300)).await;
    for lease in bench.claim(2).await {
        bench.end(&lease, failed()).await;
    }
    tell(&bench).await;
    let mail = server.mails.try_recv().unwrap();
    for line in [
        "From: fragua@example.com\r\n",
        "To: ana@example.com, eva@example.com\r\n",
        "Subject: Fragua: d.t failed",
        &format!("run_id: {run_id}\r\n"),
        "message: no rows\r\n",
        "try_number: 2\r\n",
    ] {
        assert!(mail.contains(line), "{line:?} in {mail}");
    }
    assert!(server.mails.try_recv().is_err());
}

async fn what_cannot_be_told_is_given_up_and_says_why(database: Database) {
    let receiver = Receiver::start(vec![400]).await;
    let url = receiver.url.clone();
    let mut bench = Bench::with(database, |settings| {
        settings.webhooks.allowed_schemes.push("http".to_owned());
    })
    .await;
    let dag = format!(
        "dag: d\ntasks: [{{ id: t, empty: {{}}, on_success_callback: [{{ webhook: '{url}' }}, {{ webhook: nowhere }}, \
         {{ email: ana@example.com }}] }}]\n"
    );
    bench.write("d.yaml", &dag).await;
    bench.trigger("d").await;
    tell(&bench).await;
    let all = callbacks(&bench).await;
    assert!(
        all.iter().all(|callback| callback.state == CallbackState::Failed),
        "{all:?}"
    );
    let said: Vec<String> = all
        .iter()
        .filter_map(|callback| callback.message.clone())
        .collect();
    for expected in [
        "must not resolve to a non-public IP address",
        "there is no connection \"nowhere\"",
        "there is no mail server: set smtp.host",
    ] {
        assert!(
            said.iter().any(|message| message.contains(expected)),
            "{expected} in {said:?}"
        );
    }
    // Somebody made the connection meanwhile.
    let orchestrator = bench.orchestrator();
    orchestrator
        .put_connection("nowhere", &Secret::new(url.as_str()), "")
        .await
        .unwrap();
    let nowhere = all
        .iter()
        .find(|callback| callback.notifier == "webhook nowhere")
        .unwrap();
    orchestrator.retry_callback(&nowhere.id).await.unwrap();
    tell(&bench).await;
    let again = callbacks(&bench).await;
    let again = again.iter().find(|callback| callback.id == nowhere.id).unwrap();
    assert!(
        again.message.as_ref().unwrap().contains("non-public"),
        "{again:?}"
    );
    let missing = orchestrator.retry_callback("none").await;
    assert!(
        matches!(missing, Err(Error::CallbackNotFound { .. })),
        "{missing:?}"
    );
}

async fn the_scheduler_tells_as_soon_as_it_happened(database: Database) {
    let mut receiver = Receiver::start(Vec::new()).await;
    let mut bench = Bench::with(database, local).await;
    let dag = format!(
        "dag: d\ntasks: [{{ id: t, empty: {{}}, on_success_callback: {{ webhook: '{}' }} }}]\n",
        receiver.url
    );
    bench.write("d.yaml", &dag).await;
    let (orchestrator, shutdown) = (bench.orchestrator(), CancellationToken::new());
    let running = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { orchestrator.run_scheduler(shutdown).await }
    });
    bench.trigger("d").await;
    // A database that refuses for a moment is asked again later, and later comes by hand here.
    let told = loop {
        match tokio::time::timeout(Duration::from_secs(5), receiver.requests.recv()).await {
            Ok(told) => break told,
            Err(_) => bench.clock.advance(Duration::from_secs(60)),
        }
    };
    let (headers, _) = told.unwrap();
    assert_eq!(headers["x-fragua-event"], "task_success");
    shutdown.cancel();
    running.await.unwrap().unwrap();
}

/// The process that was telling it ended: another one tells it, and the receiver sees the same id.
async fn a_callback_that_a_process_left_behind_is_told_by_another(database: Database) {
    let mut receiver = Receiver::start(Vec::new()).await;
    let mut bench = Bench::with(database, local).await;
    let dag = format!(
        "dag: d\ntasks: [{{ id: t, empty: {{}}, on_success_callback: {{ webhook: '{}' }} }}]\n",
        receiver.url
    );
    bench.write("d.yaml", &dag).await;
    bench.trigger("d").await;
    let transaction = bench.core.database.begin().await.unwrap();
    let now = bench.core.now().as_millis();
    let claimed = crate::store::callbacks::claim(&transaction, now, 8)
        .await
        .unwrap();
    let ids = [claimed[0].id.clone()];
    crate::store::callbacks::begin(&transaction, &ids, now + 1000)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    tell(&bench).await;
    assert_eq!(receiver.told(), []);
    bench.clock.advance(Duration::from_secs(1));
    tell(&bench).await;
    let (headers, _) = receiver.next();
    assert_eq!(headers["x-fragua-delivery-id"], ids[0]);
    assert_eq!(callbacks(&bench).await[0].tries, 2);
}

async fn what_is_not_over_in_time_is_late(database: Database) {
    let mut bench = Bench::new(database).await;
    bench
        .write(
            "d.yaml",
            "dag: d\nschedule: '@daily'\nstart_date: 2025-04-05\n\
             deadline: { reference: logical_date, interval: 25h, callback: { webhook: alerts } }\n\
             default_args: { deadline: { reference: started_at, interval: 2h, callback: { email: a@example.com } } }\n\
             tasks:\n  - { id: slow, bash: echo }\n  - { id: quick, empty: {} }\n",
        )
        .await;
    let late = async |bench: &Bench| -> Vec<(CallbackEvent, Option<String>)> {
        let late = callbacks(bench).await;
        late.into_iter()
            .map(|callback| (callback.event, callback.task_id))
            .collect()
    };
    // The run is due at midnight, late after an hour, its task after two.
    bench.clock.set(at("2025-04-06"));
    bench.tick().await;
    let next = crate::store::deadlines::next_due(bench.core.database.reader())
        .await
        .unwrap();
    assert_eq!(next, Some(at("2025-04-06T01:00:00Z").as_millis()));
    let lease = bench.claim_one("slow").await;
    bench.clock.set(at("2025-04-06T00:59:59Z"));
    attempts_go_on(&bench).await;
    assert_eq!(late(&bench).await, []);
    bench.clock.set(at("2025-04-06T01:00:00Z"));
    attempts_go_on(&bench).await;
    assert_eq!(late(&bench).await, [(CallbackEvent::DagRunLate, None)]);
    bench.clock.set(at("2025-04-06T02:00:00Z"));
    attempts_go_on(&bench).await;
    let slow = (CallbackEvent::TaskLate, Some("slow".to_owned()));
    assert_eq!(
        late(&bench).await,
        [slow.clone(), (CallbackEvent::DagRunLate, None)]
    );
    // Once is enough, and what was in time is not late.
    bench.end(&lease, success()).await;
    bench.clock.set(at("2025-04-07"));
    bench.tick().await;
    bench.run_queued().await;
    bench.clock.set(at("2025-04-07T05:00:00Z"));
    bench.tick().await;
    assert_eq!(late(&bench).await.len(), 2);
    let states = bench.runs("d").await;
    assert!(
        states.iter().all(|(_, state)| *state == DagRunState::Success),
        "{states:?}"
    );
    // Runs of long ago are late when they are made.
    let request = BackfillRequest {
        from: at("2025-03-01"),
        to: at("2025-03-01"),
        max_active_runs: 1,
        reprocess: Reprocess::None,
        is_reversed: false,
        params: serde_json::Map::new(),
        dry_run: false,
    };
    bench.orchestrator().backfill("d", &request).await.unwrap();
    bench.tick().await;
    assert_eq!(late(&bench).await[0], (CallbackEvent::DagRunLate, None));
}

/// Lets the worker live, and the scheduler do what is due.
async fn attempts_go_on(bench: &Bench) {
    bench.heartbeat().await;
    bench.tick().await;
}

fragua_database::each_engine!(engines:
    a_failure_is_told_until_it_is_taken,
    a_slow_receiver_held_up_the_others,
    each_end_tells_those_who_asked,
    mails_are_sent_as_default_args_say,
    what_cannot_be_told_is_given_up_and_says_why,
    the_scheduler_tells_as_soon_as_it_happened,
    a_callback_that_a_process_left_behind_is_told_by_another,
    what_is_not_over_in_time_is_late,
);
