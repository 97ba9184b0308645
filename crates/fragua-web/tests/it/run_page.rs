//! The page of a run and of a logged model: what people change, curves, previews, and nothing in it that runs.

use axum::Router;
use axum::http::StatusCode;
use fragua_tracking::{Batch, Metric, NewLoggedModel, Param, Tag};

use super::browser::{assert_page, assert_pages, get, post};
use super::house::{House, now};

fn pages(house: &House) -> Router {
    fragua_web::tracking_pages(house.tracking.clone(), house.site())
}

/// Texts that would act if a page put them in as they are.
const HOSTILE: [&str; 4] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "'\"><svg/onload=alert(1)>",
    "[x](javascript:alert(1))",
];

#[tokio::test]
async fn a_run_is_renamed_described_tagged_deleted_and_restored() {
    let house = House::open().await;
    let run_id = house.run("first", 0.9, None).await;
    let pages = pages(&house);
    let address = format!("/runs/{run_id}");
    get(&pages, &format!("{address}?edit=rename"))
        .await
        .has(&["id=\"rename\" name=\"value\" value=\"first\""]);
    let renamed = post(
        &pages,
        &format!("{address}?edit=rename"),
        "do=rename&value=second",
    )
    .await;
    assert_eq!(
        (renamed.status, renamed.header("location")),
        (StatusCode::SEE_OTHER, address.as_str())
    );
    get(&pages, &address).await.has(&["<h1>second</h1>"]);
    let refused = post(&pages, &address, "do=rename&value=+").await;
    assert_eq!(refused.status, StatusCode::OK);
    refused.has(&["id=\"rename-error\"", "aria-invalid=\"true\"", "Write a name."]);

    get(&pages, &format!("{address}?edit=description"))
        .await
        .has(&["<textarea"]);
    post(
        &pages,
        &address,
        "do=description&value=%23+Why%0D%0A%0D%0A**bold**",
    )
    .await;
    get(&pages, &address)
        .await
        .has(&["<h3>Why</h3>", "<strong>bold</strong>"]);

    post(&pages, &address, "do=tag&key=team&value=forest").await;
    get(&pages, &address).await.has(&[">team</th>", ">forest</td>"]);
    get(&pages, &format!("{address}?edit=tag&key=team"))
        .await
        .has(&["value=\"team\"", "name=\"value\" value=\"forest\""]);
    let refused = post(&pages, &address, "do=tag&key=a%00b&value=x").await;
    refused.has(&["id=\"tag-error\""]);
    post(&pages, &address, "do=delete-tag&key=team").await;
    get(&pages, &address).await.lacks(&[">team</th>"]);

    post(&pages, &address, "do=delete").await;
    let deleted = get(&pages, &address).await;
    deleted.has(&["This run is deleted", "value=\"restore\""]);
    deleted.lacks(&["value=\"delete\"", "edit=rename"]);
    post(&pages, &address, "do=restore").await;
    get(&pages, &address).await.lacks(&["This run is deleted"]);
    let unknown = post(&pages, &address, "do=explode").await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
    assert_pages(
        &pages,
        &[
            &format!("{address}?edit=rename"),
            &format!("{address}?edit=description"),
        ],
    )
    .await;
}

#[tokio::test]
async fn metrics_and_parameters_are_found_by_a_part_of_their_name() {
    let house = House::open().await;
    let run_id = house.run("run", 0.9, None).await;
    let pages = pages(&house);
    let found = get(&pages, &format!("/runs/{run_id}?find=ACC")).await;
    found.has(&[">accuracy</a>", "Nothing found."]);
    found.lacks(&[">loss</a>", ">model</th>"]);
}

#[tokio::test]
async fn curves_follow_what_the_address_says() {
    let house = House::open().await;
    let run_id = house.run("run", 0.9, None).await;
    let values = (1..=50).map(|step| Metric::new("gain", f64::from(step), now(), i64::from(step)));
    let batch = Batch {
        metrics: values.collect(),
        ..Batch::default()
    };
    house.tracking.log_batch(&run_id, batch).await.unwrap();
    let pages = pages(&house);
    let tab = format!("/runs/{run_id}?tab=metrics");
    let all = get(&pages, &tab).await;
    all.has(&[
        "data-plot=\"",
        ">gain</a>",
        ">loss</a>",
        "Without a curve",
        ">accuracy</th>",
    ]);
    assert_eq!(all.body.matches("class=\"curve-line\"").count(), 2);
    let alone = get(&pages, &format!("{tab}&only=gain")).await;
    assert_eq!(alone.body.matches("class=\"curve-line\"").count(), 1);
    alone.has(&["columns is-large", "All metrics"]);
    let together = get(&pages, &format!("{tab}&together=1")).await;
    together.has(&["curve-legend", "tone-1"]);
    assert_eq!(together.body.matches("<figure class=\"curve\"").count(), 1);
    let smooth = get(&pages, &format!("{tab}&smooth=0.9&log=1")).await;
    smooth.has(&[
        "class=\"curve-raw\"",
        "value=\"0.9\" selected",
        "name=\"log\" value=\"1\" data-submit-on-change checked",
    ]);
    let part = get(&pages, &format!("{tab}&only=gain&from=10&to=20")).await;
    part.has(&["&#34;first&#34;:10.0,&#34;last&#34;:20.0"]);
    get(&pages, &format!("{tab}&metric=GAI"))
        .await
        .lacks(&[">loss</a>"]);
    // All values were logged at one instant, so nothing can be drawn over time.
    get(&pages, &format!("{tab}&axis=relative"))
        .await
        .has(&["Without a curve"]);
    assert_pages(
        &pages,
        &[
            &tab,
            &format!("{tab}&axis=time"),
            &format!("{tab}&smooth=2&skip=x&from=x"),
        ],
    )
    .await;
}

#[tokio::test]
async fn each_kind_of_file_has_its_preview() {
    let house = House::open().await;
    let run_id = house.run("files", 0.9, None).await;
    let csv = (0..150).fold("a,b\n".to_owned(), |text, row| format!("{text}{row},<b>{row}\n"));
    let files: [(&str, Vec<u8>); 9] = [
        ("notes/read.md", b"# Hello\n\n<script>alert(1)</script>".to_vec()),
        ("rows.csv", csv.into_bytes()),
        ("table.json", br#"{"columns":["q"],"data":[["why?"]]}"#.to_vec()),
        ("deep.json", br#"{"a":{"b":[1,"</details><script>"]}}"#.to_vec()),
        ("report.html", b"<script>document.title='x'</script>".to_vec()),
        ("report.pdf", b"%PDF-1.7\n\xff\xfe".to_vec()),
        ("empty.txt", Vec::new()),
        ("MLmodel", b"flavors:\n  sklearn:\n    sklearn_version: 1.5.0\nsignature:\n  inputs: '[{\"name\": \"x\", \"type\": \"double\"}]'\n".to_vec()),
        ("long.txt", "ñ".repeat(200_000).into_bytes()),
    ];
    for (path, bytes) in files {
        house.artifact(&run_id, path, bytes).await;
    }
    let pages = pages(&house);
    let tab = format!("/runs/{run_id}?tab=artifacts");
    let look = async |path: &str| get(&pages, &format!("{tab}&path={path}")).await;
    let folder = look("notes").await;
    folder.has(&["read.md", "aria-expanded=\"true\""]);
    look("notes%2Fread.md")
        .await
        .has(&["<h3>Hello</h3>", "&lt;script&gt;"]);
    let rows = look("rows.csv").await;
    rows.has(&["rows-table", "&#60;b&#62;7</td>", "row=100"]);
    rows.lacks(&["&#60;b&#62;100</td>"]);
    look("rows.csv&row=100")
        .await
        .has(&["&#60;b&#62;149</td>", "Previous page"]);
    look("table.json").await.has(&["rows-table", "why?"]);
    look("deep.json")
        .await
        .has(&["class=\"json\"", "&lt;/details&gt;&lt;script&gt;"]);
    look("empty.txt").await.has(&["<pre class=\"code-block\""]);
    look("MLmodel")
        .await
        .has(&["sklearn 1.5.0", "<code>double</code>"]);
    look("long.txt").await.has(&["Only the beginning is shown"]);
    look("report.pdf").await.has(&[
        "Files of this kind are not shown here",
        "path=report.pdf\" download",
    ]);
    for missing in ["nope.txt", "notes%2Fnope.md", "..%2F..%2Fx"] {
        let page = look(missing).await;
        page.has(&["There is no such file"]);
        page.lacks(&["Choose a file"]);
    }

    let report = look("report.html").await;
    report.has(&["<iframe class=\"document\" sandbox=\"allow-scripts\""]);
    report.lacks(&["allow-same-origin", "document.title"]);
    let raw = format!("/runs/{run_id}/artifact");
    let shown = get(&pages, &format!("{raw}?path=report.html&show=1")).await;
    assert_eq!(shown.header("content-type"), "text/html; charset=utf-8");
    let policy = shown.header("content-security-policy");
    assert!(
        policy.starts_with("sandbox allow-scripts; default-src 'none'"),
        "{policy}"
    );
    assert!(!policy.contains("allow-same-origin"), "{policy}");
    assert_eq!(shown.header("x-content-type-options"), "nosniff");
    // Only documents are ever shown by themselves.
    for path in ["rows.csv", "MLmodel", "deep.json"] {
        let kept = get(&pages, &format!("{raw}?path={path}&show=1")).await;
        assert!(
            kept.header("content-disposition").starts_with("attachment"),
            "{path}"
        );
        assert_eq!(kept.header("content-type"), "application/octet-stream", "{path}");
    }
    let gone = get(&pages, &format!("{raw}?path=none.txt")).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    assert_pages(
        &pages,
        &[
            &tab,
            &format!("{tab}&path=rows.csv"),
            &format!("{tab}&path=MLmodel"),
        ],
    )
    .await;
}

#[tokio::test]
async fn nothing_that_people_wrote_acts_on_a_page() {
    let house = House::open().await;
    for hostile in HOSTILE {
        let run_id = house.run(hostile, 0.9, None).await;
        let batch = Batch {
            metrics: Vec::new(),
            params: vec![Param::new("p", hostile)],
            tags: vec![Tag::new("t", hostile), Tag::new("mlflow.note.content", hostile)],
        };
        house.tracking.log_batch(&run_id, batch).await.unwrap();
        let name = hostile.replace(['/', '\\'], "_");
        for ending in ["txt", "csv", "json", "md", "png"] {
            let bytes = if ending == "json" {
                format!("{hostile:?}")
            } else {
                hostile.to_owned()
            };
            house
                .artifact(&run_id, &format!("{name}.{ending}"), bytes.into_bytes())
                .await;
        }
        let new = NewLoggedModel {
            name: Some("m".to_owned()),
            model_type: Some(hostile.to_owned()),
            source_run_id: Some(run_id.clone()),
            tags: vec![Tag::new("t", hostile)],
            params: vec![Param::new("p", hostile)],
            ..NewLoggedModel::default()
        };
        let model = house.tracking.create_logged_model(new).await.unwrap();
        let model_name = format!("m{}", hostile.replace(['/', ':'], "_"));
        let description = Some(hostile.to_owned());
        let tags = vec![Tag::new("t", hostile)];
        house
            .tracking
            .create_model(&model_name, description, tags)
            .await
            .unwrap();
        let encode = |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02X}")).collect() };
        let pages = pages(&house);
        let files = format!("/runs/{run_id}?tab=artifacts");
        let mut addresses = vec![
            format!("/runs/{run_id}"),
            format!("/runs/{run_id}?edit=rename"),
            format!("/runs/{run_id}?edit=description"),
            format!("/runs/{run_id}?edit=tag&key={}", encode(hostile)),
            format!(
                "/runs/{run_id}?tab=metrics&metric={0}&only={0}&from={0}&smooth={0}",
                encode(hostile)
            ),
            format!("/runs/{run_id}?find={}", encode(hostile)),
            format!("/logged-models/{}", model.model_id),
            format!("/logged-models/{}?edit=register", model.model_id),
            format!(
                "/experiments/0/logged-models?filter={0}&order={0}",
                encode(hostile)
            ),
            format!("/models/{}", encode(&model_name)),
            format!("/models/{}?edit=delete", encode(&model_name)),
            format!("/models?search={}", encode(hostile)),
            files.clone(),
        ];
        for ending in ["txt", "csv", "json", "md", "png"] {
            addresses.push(format!("{files}&path={}", encode(&format!("{name}.{ending}"))));
        }
        for address in addresses {
            let page = get(&pages, &address).await;
            assert_eq!(page.status, StatusCode::OK, "{address}");
            let body = page.body.to_ascii_lowercase();
            for forbidden in ["<script>", "<img src=x", "<svg/onload", "href=\"javascript:"] {
                assert!(!body.contains(forbidden), "{forbidden} at {address}");
            }
        }
    }
}

#[tokio::test]
async fn a_logged_model_is_listed_shown_tagged_registered_and_deleted() {
    let house = House::open().await;
    let run_id = house.run("trainer", 0.9, None).await;
    let new = NewLoggedModel {
        name: Some("tree".to_owned()),
        source_run_id: Some(run_id.clone()),
        params: vec![Param::new("depth", "6")],
        ..NewLoggedModel::default()
    };
    let id = house.tracking.create_logged_model(new).await.unwrap().model_id;
    let batch = Batch {
        metrics: vec![Metric {
            model_id: Some(id.clone()),
            dataset_name: Some("test rows".to_owned()),
            dataset_digest: Some("abc".to_owned()),
            ..Metric::new("f1", 0.75, now(), 0)
        }],
        ..Batch::default()
    };
    house.tracking.log_batch(&run_id, batch).await.unwrap();
    let pages = pages(&house);
    let list = "/experiments/0/logged-models";
    get(&pages, list)
        .await
        .has(&[&id, ">tree</a>", ">f1</th>", ">0.75<"]);
    get(
        &pages,
        &format!("{list}?order=metrics.f1&up=1&filter=metrics.f1+%3E+0.9"),
    )
    .await
    .has(&["No logged model"]);
    get(&pages, &format!("{list}?filter=%3E%3E"))
        .await
        .has(&["id=\"filter-error\""]);
    get(&pages, &format!("/runs/{run_id}"))
        .await
        .has(&[&format!("/logged-models/{id}")]);
    let address = format!("/logged-models/{id}");
    get(&pages, &address)
        .await
        .has(&["test rows", ">depth</th>", ">trainer</a>"]);
    post(&pages, &address, "do=tag&key=team&value=a").await;
    post(&pages, &address, "do=description&value=*good*").await;
    get(&pages, &address).await.has(&[">team</th>", "<em>good</em>"]);
    post(&pages, &address, "do=delete-tag&key=team").await;
    get(&pages, &address).await.lacks(&[">team</th>"]);
    let refused = post(&pages, &address, "do=register&value=a%2Fb").await;
    refused.has(&["id=\"register-error\""]);
    let registered = post(&pages, &address, "do=register&value=forest").await;
    assert_eq!(registered.header("location"), "/models/forest/versions/1");
    get(&pages, &address).await.has(&["forest v1"]);
    get(&pages, "/models/forest/versions/1").await.has(&[&address]);
    assert_pages(
        &pages,
        &[
            list,
            &address,
            &format!("{address}?tab=artifacts"),
            &format!("{address}?edit=register"),
        ],
    )
    .await;
    let deleted = post(&pages, &address, "do=delete").await;
    assert_eq!(deleted.header("location"), list);
    assert_eq!(get(&pages, &address).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_model_among_the_files_of_a_run_could_not_be_registered() {
    let house = House::open().await;
    let run_id = house.run("of an older client", 0.9, None).await;
    let description = b"flavors:\n  sklearn:\n    sklearn_version: '1.2'\n";
    house
        .artifact(&run_id, "model/MLmodel", description.to_vec())
        .await;
    let pages = pages(&house);
    let tab = format!("/runs/{run_id}?tab=artifacts&path=model%2FMLmodel");
    let uri = format!("runs:/{run_id}/model");
    let file = get(&pages, &tab).await;
    file.has(&["edit=register", &format!("load_model(&#34;{uri}&#34;)")]);
    let form = get(&pages, &format!("{tab}&edit=register")).await;
    assert_page(&form, &tab);
    form.has(&["name=\"do\" value=\"register\"", "Registered model"]);
    let refused = post(&pages, &tab, "do=register&value=a%2Fb").await;
    refused.has(&["id=\"register-error\"", "value=\"a/b\""]);
    let sent = post(&pages, &tab, "do=register&value=cover").await;
    assert_eq!(
        (sent.status, sent.header("location")),
        (StatusCode::SEE_OTHER, "/models/cover/versions/1")
    );
    let version = house.tracking.version("cover", 1).await.unwrap();
    assert_eq!((version.source, version.run_id), (uri, Some(run_id.clone())));
    // What describes no model of a folder is none that can be registered.
    let root = format!("/runs/{run_id}?tab=artifacts&path=MLmodel");
    house.artifact(&run_id, "MLmodel", description.to_vec()).await;
    get(&pages, &root).await.lacks(&["edit=register"]);
}
