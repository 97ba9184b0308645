//! The pages of the object store as Chromium shows them: what is dropped, ticked, copied and scrolled, and a silent console.

use fragua_storage::{BucketName, ObjectKey, PutOptions, Versioning};

use super::chromium::Chromium;
use super::house::House;

fn bucket() -> BucketName {
    BucketName::parse("mlflows3").unwrap()
}

/// Opens a page wide and narrow, light and dark, in both languages, and asserts that it is quiet each time.
async fn look(chromium: &Chromium, address: &str, name: &str) {
    let joint = if address.contains('?') { '&' } else { '?' };
    for (is_phone, theme, language) in [
        (false, "light", "en"),
        (false, "dark", "es"),
        (true, "light", "es"),
        (true, "dark", "en"),
    ] {
        chromium.phone(is_phone).await;
        chromium
            .open(&format!("{address}{joint}theme={theme}&lang={language}"))
            .await;
        chromium
            .until("document.documentElement.classList.contains('has-script')")
            .await;
        let width = if is_phone { "phone" } else { "window" };
        chromium
            .long_picture(&format!("store-{name}-{width}-{theme}"))
            .await;
        chromium.assert_quiet().await;
    }
    chromium.phone(false).await;
    chromium.open("/keys?theme=light&lang=en").await;
}

async fn fill(house: &House) {
    let storage = &house.storage;
    storage
        .set_versioning(&bucket(), Versioning::Enabled)
        .await
        .unwrap();
    let table = (0..300).fold("id,species,elevation,slope\n".to_owned(), |text, row| {
        format!(
            "{text}{row},lodgepole pine,{},{}\n",
            2_000 + row * 7 % 900,
            row % 40
        )
    });
    let table: &'static [u8] = Vec::leak(table.into_bytes());
    house.put("mlflows3", "data/covertype.csv", b"first").await;
    house.put("mlflows3", "data/covertype.csv", table).await;
    house
        .put(
            "mlflows3",
            "data/notes.json",
            br#"{"rows": 300, "columns": ["id", "species"], "source": {"name": "forest", "year": 1998}}"#,
        )
        .await;
    house
        .put("mlflows3", "data/raw/part-0001.csv", b"a,b\n1,2\n")
        .await;
    house
        .put("mlflows3", "data/README.md", b"# Data\n\nSee *source*.")
        .await;
    house
        .put("mlflows3", "models/champion/model.bin", b"\0\x01\x02")
        .await;
    house.put("mlflows3", "plot.svg", b"<svg xmlns='http://www.w3.org/2000/svg' width='400' height='200'><rect width='400' height='200' fill='#c9551c'/></svg>").await;
    house.put("others", "old.txt", b"x").await;
    storage
        .delete(&bucket(), &ObjectKey::parse("data/README.md").unwrap())
        .await
        .unwrap();
    let tags = fragua_storage::Tags::of_object([
        ("stage".to_owned(), "raw".to_owned()),
        ("owner".to_owned(), "ana".to_owned()),
    ]);
    let key = ObjectKey::parse("data/covertype.csv").unwrap();
    storage
        .set_tags(&bucket(), &key, None, &tags.unwrap())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_the_store_are_quiet_at_each_width() {
    let house = House::open().await;
    fill(&house).await;
    let console = house.console();
    let at = "/buckets/mlflows3/settings";
    for form in [
        "do=quota&quota=1&unit=GiB",
        "do=rule-add&id=logs&prefix=logs%2F&days=30&abort-days=2",
        "do=cors-add&origins=https%3A%2F%2Fapp.example&method=GET&max-age=60",
    ] {
        super::browser::post(&console, at, form).await;
    }
    super::browser::post(
        &console,
        "/keys",
        "do=create&name=training&access=write&bucket=mlflows3&days=90",
    )
    .await;
    for (operation, key, status) in [
        ("PutObject", "data/covertype.csv", 200),
        ("DeleteObject", "data/README.md", 403),
    ] {
        let entry = fragua_auth::LoggedAccess {
            happened_at: super::house::now(),
            request_id: "0".repeat(32),
            access_key_id: Some("FRK0123456789ABCDEF".to_owned()),
            key_name: Some("training".to_owned()),
            operation: operation.to_owned(),
            bucket: Some("mlflows3".to_owned()),
            object_key: Some(key.to_owned()),
            status,
        };
        house.auth.log_access(entry);
    }
    let chromium = Chromium::at(console).await;
    for (address, name) in [
        ("/buckets", "buckets"),
        ("/buckets?new=1", "bucket-new"),
        ("/buckets/mlflows3", "bucket"),
        ("/buckets/mlflows3?prefix=data%2F", "folder"),
        ("/buckets/mlflows3?prefix=data%2F&deleted=1", "deleted"),
        ("/buckets/mlflows3?find=zzz", "not-found"),
        ("/buckets/mlflows3/object?key=data%2Fcovertype.csv", "object-csv"),
        ("/buckets/mlflows3/object?key=data%2Fnotes.json", "object-json"),
        ("/buckets/mlflows3/object?key=plot.svg", "object-picture"),
        ("/buckets/mlflows3/object?key=data%2FREADME.md", "object-deleted"),
        ("/buckets/mlflows3/settings", "settings"),
        ("/keys", "keys"),
        ("/keys?new=1", "key-new"),
        ("/log", "log"),
        ("/upkeep", "upkeep"),
    ] {
        look(&chromium, address, name).await;
    }
    chromium.close().await;
}

/// Makes files in the page and drops them onto the list; each is a name and a size in bytes.
fn drop_files(files: &str) -> String {
    format!(
        "const transfer = new DataTransfer();
        for (const [name, size] of {files}) transfer.items.add(new File([new Uint8Array(size).fill(120)], name, {{ type: 'text/plain', lastModified: 1 }}));
        for (const kind of ['dragover', 'drop'])
            document.getElementById('objects').dispatchEvent(new DragEvent(kind, {{ dataTransfer: transfer, bubbles: true, cancelable: true }}));"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_files_are_uploaded_into_the_folder() {
    let house = House::open().await;
    house.put("mlflows3", "in/old.txt", b"x").await;
    let chromium = Chromium::at(house.console()).await;
    chromium.open("/buckets/mlflows3?prefix=in%2F&lang=en").await;
    chromium
        .until("document.documentElement.classList.contains('has-script')")
        .await;
    // The second one is larger than a part.
    chromium
        .run(&drop_files("[['a.txt', 5], ['big.bin', 17 * 1024 * 1024 + 3]]"))
        .await;
    chromium
        .until("document.querySelectorAll('.upload-rows .is-done').length === 2")
        .await;
    // The list was read again, and the panel stays.
    chromium
        .until("document.querySelectorAll('#object-rows tr').length === 3")
        .await;
    chromium.picture("uploaded").await;
    let size = async |key: &str| {
        let object = house
            .storage
            .head(&bucket(), &ObjectKey::parse(key).unwrap())
            .await;
        object.unwrap().size_bytes
    };
    assert_eq!(size("in/a.txt").await, 5);
    assert_eq!(size("in/big.bin").await, 17 * 1024 * 1024 + 3);
    let open = house
        .storage
        .list_uploads(&bucket(), Default::default())
        .await
        .unwrap();
    assert!(open.uploads.is_empty());
    assert_eq!(chromium.run("return localStorage.length").await, 0);
    // On the way to another folder nothing is loaded anew.
    chromium.click(".breadcrumb a[href='/buckets/mlflows3']").await;
    chromium
        .until("document.querySelector('h1').textContent === 'mlflows3'")
        .await;
    chromium
        .until("document.querySelectorAll('.upload-rows .is-done').length === 2")
        .await;
    chromium.assert_quiet().await;
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_was_broken_off_goes_on_in_a_later_page() {
    let house = House::open().await;
    let chromium = Chromium::at(house.console()).await;
    chromium.open("/buckets/mlflows3?lang=en").await;
    chromium
        .until("document.documentElement.classList.contains('has-script')")
        .await;
    // The second part never arrives.
    chromium
        .run(
            "const open = XMLHttpRequest.prototype.open;
            XMLHttpRequest.prototype.open = function (method, path) {
                window.asked = [...(window.asked ?? []), path];
                open.call(this, method, path.includes('number=2') ? '/none' : path);
            };",
        )
        .await;
    let files = "[['big.bin', 33 * 1024 * 1024]]";
    chromium.run(&drop_files(files)).await;
    chromium
        .until("document.querySelector('.upload-rows .is-failed')")
        .await;
    chromium.picture("upload-failed").await;
    chromium.open("/buckets/mlflows3?lang=en").await;
    chromium
        .until("document.documentElement.classList.contains('has-script')")
        .await;
    chromium
        .run(
            "const open = XMLHttpRequest.prototype.open;
            XMLHttpRequest.prototype.open = function (method, path) {
                window.asked = [...(window.asked ?? []), path];
                open.call(this, method, path);
            };",
        )
        .await;
    chromium.run(&drop_files(files)).await;
    chromium
        .until("document.querySelector('.upload-rows .is-done')")
        .await;
    // The part that was there is not sent again.
    let again = chromium
        .run("return asked.some((path) => path.includes('number=1'))")
        .await;
    assert_eq!(again, false);
    let object = house
        .storage
        .head(&bucket(), &ObjectKey::parse("big.bin").unwrap())
        .await
        .unwrap();
    assert_eq!((object.size_bytes, object.parts.count()), (33 * 1024 * 1024, 3));
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_canceled() {
    let house = House::open().await;
    let chromium = Chromium::at(house.console()).await;
    chromium.open("/buckets/mlflows3?lang=en").await;
    chromium
        .until("document.documentElement.classList.contains('has-script')")
        .await;
    // The first part is on its way until it is canceled.
    chromium
        .run(
            "const send = XMLHttpRequest.prototype.send;
            const open = XMLHttpRequest.prototype.open;
            XMLHttpRequest.prototype.open = function (method, path) { this.path = path; open.call(this, method, path); };
            XMLHttpRequest.prototype.send = function (body) { if (!this.path.includes('number=1')) send.call(this, body); else this.addEventListener('abort', () => {}); };
            const abort = XMLHttpRequest.prototype.abort;
            XMLHttpRequest.prototype.abort = function () { abort.call(this); this.dispatchEvent(new ProgressEvent('abort')); };",
        )
        .await;
    chromium.run(&drop_files("[['big.bin', 17 * 1024 * 1024]]")).await;
    chromium
        .until("document.querySelector('.upload-rows .is-running button')")
        .await;
    let open = async || {
        let uploads = house.storage.list_uploads(&bucket(), Default::default()).await;
        uploads.unwrap().uploads.len()
    };
    chromium.until("localStorage.length === 1").await;
    assert_eq!(open().await, 1);
    chromium.click(".upload-rows .is-running button").await;
    chromium
        .until("document.querySelector('.upload-rows .is-canceled')")
        .await;
    chromium.until("localStorage.length === 0").await;
    let given_up = async {
        while open().await > 0 {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(std::time::Duration::from_secs(30), given_up).await;
    assert!(waited.is_ok(), "the upload is still there");
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_goes_on_as_it_is_scrolled_and_what_is_ticked_stays() {
    let house = House::open().await;
    for number in 0..450 {
        let key = ObjectKey::parse(format!("{number:04}.txt")).unwrap();
        house
            .storage
            .put_bytes(&bucket(), &key, PutOptions::default(), "x")
            .await
            .unwrap();
    }
    let chromium = Chromium::at(house.console()).await;
    chromium.open("/buckets/mlflows3?lang=en").await;
    let rows = "document.querySelectorAll('#object-rows tr').length";
    chromium.until(&format!("{rows} >= 200")).await;
    chromium.click("#object-rows tr:nth-child(2) .pick input").await;
    chromium
        .until("document.querySelector('[data-selection-count]').textContent === 'Ticked: 1'")
        .await;
    chromium.picture("ticked").await;
    chromium
        .run(
            "document.querySelector('#object-rows tr:nth-child(5) .pick input')
                .dispatchEvent(new MouseEvent('click', { shiftKey: true, bubbles: true, cancelable: true }))",
        )
        .await;
    chromium
        .until("document.querySelector('[data-selection-count]').textContent === 'Ticked: 4'")
        .await;
    for wanted in [400, 450] {
        chromium
            .run("document.getElementById('object-foot').scrollIntoView()")
            .await;
        chromium.until(&format!("{rows} >= {wanted}")).await;
    }
    chromium
        .until("document.querySelector('[data-row-count]').textContent === 'Entries shown: 450'")
        .await;
    chromium.until("!document.querySelector('[data-more]')").await;
    // All that are loaded are deleted together.
    chromium.run("scrollTo(0, 0)").await;
    chromium.click(".object-table thead .pick input").await;
    chromium.click("[popovertarget=delete-selected]").await;
    chromium.picture("delete-selected").await;
    chromium.click("#delete-selected .is-final").await;
    chromium.until("document.querySelector('#objects .empty')").await;
    let left = house.storage.list(&bucket(), Default::default()).await.unwrap();
    assert!(left.objects.is_empty());
    chromium.assert_quiet().await;
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_found_while_they_are_typed_and_a_folder_is_made() {
    let house = House::open().await;
    fill(&house).await;
    let chromium = Chromium::at(house.console()).await;
    chromium.open("/buckets/mlflows3?prefix=data%2F&lang=en").await;
    chromium
        .until("document.documentElement.classList.contains('has-script')")
        .await;
    chromium.keys("#find", "not").await;
    chromium
        .until("document.querySelectorAll('#object-rows tr').length === 1")
        .await;
    assert_eq!(
        chromium.address().await,
        "/buckets/mlflows3?prefix=data%2F&find=not"
    );
    chromium.open("/buckets/mlflows3?prefix=data%2F&lang=en").await;
    chromium.click("[popovertarget=new-folder]").await;
    chromium.keys("#folder-name", "fresh\u{e007}").await;
    chromium
        .until("document.querySelector('h1').textContent === 'fresh'")
        .await;
    assert_eq!(
        chromium.address().await,
        "/buckets/mlflows3?prefix=data%2Ffresh%2F"
    );
    chromium.assert_quiet().await;
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_made_in_place_and_a_policy_is_asked_for_only_where_it_counts() {
    let house = House::open().await;
    fill(&house).await;
    let chromium = Chromium::at(house.console()).await;
    let at = "/buckets/mlflows3/object?key=plot.svg&lang=en";
    chromium.open(at).await;
    chromium
        .until("document.documentElement.classList.contains('has-script')")
        .await;
    chromium.click("[popovertarget=share]").await;
    chromium.click("#share .button-primary").await;
    chromium
        .until("document.getElementById('share-url')?.value.includes('X-Amz-Signature=')")
        .await;
    chromium.picture("shared").await;
    assert_eq!(chromium.address().await, at);
    chromium.open("/keys?new=1&lang=en").await;
    let is_shown = "document.getElementById('policy').checkVisibility()";
    chromium.until(&format!("!{is_shown}")).await;
    chromium.click("#access-custom").await;
    chromium.until(is_shown).await;
    chromium.picture("key-policy").await;
    chromium.assert_quiet().await;
    chromium.close().await;
}
