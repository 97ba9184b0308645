//! What every page of every role has.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};

use super::browser::{get, post, send};
use super::house::House;

#[tokio::test]
async fn each_answer_carries_the_security_headers() {
    let house = House::open().await;
    let console = house.console();
    for address in ["/", "/nowhere", "/favicon.ico", "/health"] {
        let answer = get(&console, address).await;
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'self'"), "{address}: {policy}");
        assert!(!policy.contains("unsafe"), "{address}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("referrer-policy"), "same-origin");
    }
}

#[tokio::test]
async fn an_unknown_address_is_a_page_for_people_and_a_line_for_programs() {
    let house = House::open().await;
    let console = house.console();
    let page = get(&console, "/nowhere?lang=es").await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    page.has(&["<html lang=\"es\"", "No encontrado", "aria-label=\"Fragua\""]);
    let request = Request::get("/nowhere").header(header::ACCEPT, "application/json");
    let line = send(&console, request.body(Body::empty()).unwrap()).await;
    assert_eq!(
        (line.status, line.body.as_str()),
        (StatusCode::NOT_FOUND, "Not found\n")
    );
}

#[tokio::test]
async fn spanish_pages_said_in_english_what_is_not_there_and_wrote_points() {
    let house = House::open().await;
    let console = house.console();
    let page = get(&console, "/buckets/no-such-bucket?lang=es").await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    page.has(&["No existe /buckets/no-such-bucket."]);
    page.lacks(&["does not exist"]);
    get(&console, "/buckets/no-such-bucket")
        .await
        .has(&["does not exist"]);
    house.put("mlflows3", "a", &[0; 1536]).await;
    get(&console, "/buckets?lang=es").await.has(&["1,5 KiB"]);
    get(&console, "/buckets?lang=en").await.has(&["1.5 KiB"]);
}

#[tokio::test]
async fn language_and_theme_are_kept_in_cookies() {
    let house = House::open().await;
    let console = house.console();
    let chosen = get(&console, "/?lang=es&theme=dark").await;
    let cookies: Vec<_> = chosen
        .headers
        .get_all(header::SET_COOKIE)
        .iter()
        .map(|cookie| cookie.to_str().unwrap())
        .collect();
    assert_eq!(cookies.len(), 2);
    assert!(cookies[0].starts_with("fragua_lang=es; Path=/"), "{}", cookies[0]);
    assert!(
        cookies[1].starts_with("fragua_theme=dark; Path=/"),
        "{}",
        cookies[1]
    );
    let request = Request::get("/")
        .header(header::ACCEPT, "text/html")
        .header(header::COOKIE, "fragua_lang=es; fragua_theme=dark");
    let kept = send(&console, request.body(Body::empty()).unwrap()).await;
    kept.has(&["<html lang=\"es\" data-theme=\"dark\">"]);
    // What somebody writes into the address ends in no header.
    let odd = get(&console, "/?lang=xx%0d%0aset-cookie:a&theme=%22%3E").await;
    odd.has(&["<html lang=\"en\" data-theme=\"system\">"]);
}

#[tokio::test]
async fn a_write_from_another_origin_is_refused() {
    let house = House::open().await;
    let console = house.console();
    for (name, value) in [
        ("origin", "http://127.0.0.1:8888"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let request = Request::post("/buckets")
            .header(header::HOST, "127.0.0.1:8080")
            .header(header::ACCEPT, "text/html")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(name, value);
        let answer = send(&console, request.body(Body::from("name=stolen")).unwrap()).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name}: {value}");
        answer.has(&["This request was refused"]);
    }
    let allowed = post(&console, "/buckets", "name=wanted").await;
    assert_eq!(allowed.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_page_links_files_that_are_there_and_may_be_kept() {
    let house = House::open().await;
    let console = house.console();
    let page = get(&console, "/").await;
    let mut files = 0;
    for address in page.body.split('"').filter(|part| part.starts_with("/static/")) {
        let address = address.split('#').next().unwrap();
        let file = get(&console, address).await;
        assert_eq!(file.status, StatusCode::OK, "{address}");
        assert!(file.header("cache-control").ends_with("immutable"), "{address}");
        assert!(!file.header("etag").is_empty(), "{address}");
        files += 1;
    }
    assert!(files >= 6, "{files}");
}

#[tokio::test]
async fn pages_are_compressed_and_small() {
    let house = House::open().await;
    let console = house.console();
    let request = Request::get("/")
        .header(header::ACCEPT, "text/html")
        .header(header::ACCEPT_ENCODING, "gzip");
    let answer = send(&console, request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.header("content-encoding"), "gzip");
}
