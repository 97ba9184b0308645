//! What every template knows: language, theme, the present address, where the other roles are.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri, header};
use fragua_base::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::site::{Role, Site};
use crate::text::Language;
use crate::{assets, format};

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Percent-encodes one segment or parameter of an address.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

/// A choice between light and dark that is stronger than the system's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Theme {
    Light,
    Dark,
}

impl Theme {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Light, Self::Dark]
            .into_iter()
            .find(|theme| theme.name() == name)
    }
}

/// An entry of the top bar.
pub(crate) struct RoleLink {
    pub(crate) label: String,
    pub(crate) address: String,
    pub(crate) is_current: bool,
}

/// The frame of one page. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    site: Site,
    role: Role,
    language: Language,
    theme: Option<Theme>,
    path: String,
    parameters: Vec<(String, String)>,
    now: Timestamp,
}

impl Page {
    pub(crate) fn of_request(site: Site, role: Role, uri: &Uri, headers: &HeaderMap) -> Self {
        let parameters = parse_query(uri.query().unwrap_or(""));
        let chosen = |name: &str| {
            parameters
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
        };
        let accepted = headers
            .get(header::ACCEPT_LANGUAGE)
            .and_then(|accepted| accepted.to_str().ok());
        let language = chosen("lang")
            .and_then(Language::from_tag)
            .or_else(|| cookie(headers, "fragua_lang").and_then(Language::from_tag))
            .or_else(|| accepted.and_then(Language::from_accept_language))
            .unwrap_or_default();
        let theme = match chosen("theme") {
            Some(name) => Theme::from_name(name),
            None => cookie(headers, "fragua_theme").and_then(Theme::from_name),
        };
        let now = site.clock().now();
        let path = uri.path().to_owned();
        let inner = Inner {
            site,
            role,
            language,
            theme,
            path,
            parameters,
            now,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Returns a text of the page's language.
    pub(crate) fn t(&self, key: impl AsRef<str>) -> String {
        self.inner.language.text(key.as_ref())
    }

    /// Returns a text with one value put in.
    pub(crate) fn t1(&self, key: &str, name: &'static str, value: &str) -> String {
        self.inner.language.text_with(key, &[(name, value)])
    }

    /// Returns a text with several values put in.
    pub(crate) fn text_with(&self, key: &str, values: &[(&'static str, &str)]) -> String {
        self.inner.language.text_with(key, values)
    }

    /// Returns a text about a count.
    pub(crate) fn tn(&self, key: &str, count: &u64) -> String {
        self.inner.language.text_count(key, *count)
    }

    pub(crate) fn language(&self) -> Language {
        self.inner.language
    }

    pub(crate) fn lang(&self) -> &'static str {
        self.inner.language.tag()
    }

    pub(crate) fn theme(&self) -> Option<Theme> {
        self.inner.theme
    }

    pub(crate) fn theme_name(&self) -> &'static str {
        self.inner.theme.map_or("system", Theme::name)
    }

    /// Returns the choices of the theme switch: the value in the address, the key of its word, its icon.
    pub(crate) fn theme_choices(&self) -> [(&'static str, &'static str, &'static str); 3] {
        [
            ("system", "theme-system", "monitor"),
            ("light", "theme-light", "sun"),
            ("dark", "theme-dark", "moon"),
        ]
    }

    pub(crate) fn languages(&self) -> [Language; 2] {
        Language::ALL
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.inner.now
    }

    pub(crate) fn site(&self) -> &Site {
        &self.inner.site
    }

    pub(crate) fn role_key(&self) -> &'static str {
        self.inner.role.key()
    }

    pub(crate) fn has_chosen(&self, name: &str) -> bool {
        self.parameter(name).is_some()
    }

    /// Returns a parameter of the present address.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.inner
            .parameters
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns the address of a static file.
    pub(crate) fn asset(&self, name: &str) -> String {
        assets::url(name)
    }

    /// Returns the present address with one parameter set; an empty value removes it.
    pub(crate) fn with(&self, name: &str, value: &str) -> String {
        self.with_all(&[(name, value)])
    }

    /// Returns the present address with two parameters set.
    pub(crate) fn with2(&self, name: &str, value: &str, other: &str, other_value: &str) -> String {
        self.with_all(&[(name, value), (other, other_value)])
    }

    /// Returns the path of the present address as people read it.
    pub(crate) fn path(&self) -> String {
        percent_decode_str(&self.inner.path)
            .decode_utf8_lossy()
            .into_owned()
    }

    /// Returns the present address with its parameters.
    pub(crate) fn here(&self) -> String {
        self.with_all(&[])
    }

    /// Returns how many entries of a list the present address passes over.
    pub(crate) fn offset(&self) -> usize {
        let offset = self.parameter("offset").and_then(|offset| offset.parse().ok());
        offset.unwrap_or(0)
    }

    /// Returns the present path with one parameter and no other; an empty value leaves the path alone.
    pub(crate) fn only(&self, name: &str, value: &str) -> String {
        if value.is_empty() {
            return self.inner.path.clone();
        }
        format!("{}?{}={}", self.inner.path, encode(name), encode(value))
    }

    /// Returns each value that the present address gives a parameter.
    pub(crate) fn parameters<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.inner.parameters.iter().filter(move |(key, _)| key == name);
        named.map(|(_, value)| value.as_str())
    }

    /// Returns the parameters of the present address in their order, without the choices that cookies keep.
    pub(crate) fn all_parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.inner.parameters.iter();
        pairs
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .filter(|(name, _)| !matches!(*name, "lang" | "theme"))
    }

    /// Returns the present path with these parameters and no others.
    pub(crate) fn at(&self, pairs: &[(&str, &str)]) -> String {
        let query: Vec<String> = pairs
            .iter()
            .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
            .collect();
        if query.is_empty() {
            return self.inner.path.clone();
        }
        format!("{}?{}", self.inner.path, query.join("&"))
    }

    fn with_all(&self, changes: &[(&str, &str)]) -> String {
        let kept = self
            .all_parameters()
            .filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
        let pairs: Vec<(&str, &str)> = kept
            .chain(changes.iter().copied())
            .filter(|(_, value)| !value.is_empty())
            .collect();
        self.at(&pairs)
    }

    /// Returns the entries of the top bar: the roles that have pages, and the inference API's documentation.
    pub(crate) fn role_links(&self) -> Vec<RoleLink> {
        let endpoints = self.inner.site.endpoints();
        let docs = endpoints.serving.as_ref().map(|base| format!("{base}/docs"));
        [
            ("orchestrator", endpoints.orchestrator.clone()),
            ("tracking", endpoints.tracking.clone()),
            ("console", endpoints.console.clone()),
            ("app", endpoints.app.clone()),
            ("docs", docs),
        ]
        .into_iter()
        .filter_map(|(key, address)| {
            let is_current = key == self.role_key();
            // The role that answers is always linked, by a path, however it is reached.
            let address = if is_current {
                "/".to_owned()
            } else {
                address.map(|address| slash(&address))?
            };
            let label = self.t(format!("role-{key}"));
            Some(RoleLink {
                label,
                address,
                is_current,
            })
        })
        .collect()
    }

    /// Returns an address at another role, or nothing while that role does not run.
    pub(crate) fn at_tracking(&self, path: &str) -> Option<String> {
        let base = self.inner.site.endpoints().tracking.as_deref()?;
        Some(format!("{base}{path}"))
    }

    /// Returns an address at the orchestrator, or nothing while it does not run.
    pub(crate) fn at_orchestrator(&self, path: &str) -> Option<String> {
        let base = self.inner.site.endpoints().orchestrator.as_deref()?;
        Some(format!("{base}{path}"))
    }

    /// Returns an address at the object console, or nothing while it does not run.
    pub(crate) fn at_console(&self, path: &str) -> Option<String> {
        let base = self.inner.site.endpoints().console.as_deref()?;
        Some(format!("{base}{path}"))
    }

    /// Returns an address at the inference API, or nothing while it does not run.
    pub(crate) fn at_serving(&self, path: &str) -> Option<String> {
        let base = self.inner.site.endpoints().serving.as_deref()?;
        Some(format!("{base}{path}"))
    }

    /// Returns an address at the form that predicts, or nothing while it does not run.
    pub(crate) fn at_app(&self, path: &str) -> Option<String> {
        let base = self.inner.site.endpoints().app.as_deref()?;
        Some(format!("{base}{path}"))
    }

    /// Tells whether the inference API and the form that predicts answer with the version that an alias of a model names.
    pub(crate) fn serves(&self, model: &str, alias: &str) -> bool {
        let (served, endpoints) = (self.inner.site.served(), self.inner.site.endpoints());
        let runs = endpoints.serving.is_some() || endpoints.app.is_some();
        runs && served.model == model && served.alias == alias
    }

    /// Returns the words of [`Page::ago`] for the script that keeps them true while a page stays open; `#` stands for
    /// the number.
    pub(crate) fn time_words(&self) -> String {
        let mut words = serde_json::Map::new();
        words.insert("now".to_owned(), self.t("time-now").into());
        for unit in ["seconds", "minutes", "hours"] {
            for direction in ["past", "future"] {
                let text = self.t1(&format!("time-{unit}-{direction}"), "number", "#");
                words.insert(format!("{unit}-{direction}"), text.into());
            }
        }
        serde_json::Value::Object(words).to_string()
    }

    /// Says how far an instant is from now: "3 min ago", "in 2 h".
    pub(crate) fn ago(&self, instant: &Timestamp) -> String {
        let distance = self.inner.now.as_millis().saturating_sub(instant.as_millis());
        let seconds = distance.unsigned_abs() / 1_000;
        let (key, count) = match seconds {
            0..5 => return self.t("time-now"),
            5..60 => ("seconds", seconds),
            60..3_600 => ("minutes", seconds / 60),
            3_600..86_400 => ("hours", seconds / 3_600),
            86_400..2_592_000 => ("days", seconds / 86_400),
            _ => {
                return format::instant(*instant)
                    .split(' ')
                    .next()
                    .unwrap_or("")
                    .to_owned();
            }
        };
        let direction = if distance >= 0 { "past" } else { "future" };
        self.tn(&format!("time-{key}-{direction}"), &count)
    }
}

fn slash(address: &str) -> String {
    // An origin without a path shows the same with and without the slash; browsers add it.
    let has_path = address
        .split_once("://")
        .is_some_and(|(_, rest)| rest.contains('/'));
    if has_path {
        address.to_owned()
    } else {
        format!("{address}/")
    }
}

pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

/// Parses a query or a form of type `application/x-www-form-urlencoded`; what is not UTF-8 is replaced.
pub(crate) fn parse_query(query: &str) -> Vec<(String, String)> {
    let decode = |part: &str| {
        let spaced = part.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

impl<S: Sync> FromRequestParts<S> for Page {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let page = parts.extensions.get::<Self>();
        Ok(page
            .cloned()
            .expect("every route of this crate lies inside the frame"))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use fragua_base::{Endpoints, ManualClock};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::site::ServedAlias;

    pub(crate) fn page(uri: &str, headers: &[(header::HeaderName, &str)]) -> Page {
        let now = Timestamp::from_millis(1_743_552_000_000);
        let endpoints = Endpoints {
            orchestrator: Some("http://127.0.0.1:8080".to_owned()),
            serving: Some("http://127.0.0.1:8085".to_owned()),
            ..Endpoints::default()
        };
        let site = Site::new(
            endpoints,
            ServedAlias::default(),
            Arc::new(ManualClock::at(now)),
            CancellationToken::new(),
        );
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect();
        Page::of_request(site, Role::Tracking, &uri.parse().unwrap(), &headers)
    }

    #[test]
    fn the_language_comes_from_address_then_cookie_then_browser() {
        let cookie_es = (header::COOKIE, "a=b; fragua_lang=es");
        let browser_es = (header::ACCEPT_LANGUAGE, "es-ES,en;q=0.5");
        for (uri, headers, expected) in [
            ("/", vec![], "en"),
            ("/", vec![browser_es.clone()], "es"),
            (
                "/",
                vec![(header::COOKIE, "fragua_lang=en"), browser_es.clone()],
                "en",
            ),
            ("/?lang=en", vec![cookie_es.clone(), browser_es], "en"),
            ("/?lang=tlh", vec![cookie_es], "es"),
        ] {
            assert_eq!(page(uri, &headers).lang(), expected, "{uri} {headers:?}");
        }
    }

    #[test]
    fn the_theme_is_the_systems_until_one_is_chosen() {
        for (uri, cookie, expected) in [
            ("/", "", "system"),
            ("/", "fragua_theme=dark", "dark"),
            ("/?theme=light", "fragua_theme=dark", "light"),
            ("/?theme=system", "fragua_theme=dark", "system"),
        ] {
            assert_eq!(
                page(uri, &[(header::COOKIE, cookie)]).theme_name(),
                expected,
                "{uri} {cookie}"
            );
        }
    }

    #[test]
    fn links_keep_the_other_parameters() {
        let page = page("/runs?filter=a%3D'b'&page=2&lang=es", &[]);
        assert_eq!(page.with("page", "3"), "/runs?filter=a%3D%27b%27&page=3");
        assert_eq!(page.with("page", ""), "/runs?filter=a%3D%27b%27");
        assert_eq!(page.with2("page", "", "filter", ""), "/runs");
    }

    #[test]
    fn only_roles_that_answer_are_linked() {
        let page = page("/", &[]);
        let addresses: Vec<_> = page.role_links().into_iter().map(|link| link.address).collect();
        assert_eq!(
            addresses,
            ["http://127.0.0.1:8080/", "/", "http://127.0.0.1:8085/docs"]
        );
    }

    #[test]
    fn says_how_far_an_instant_is() {
        let page = page("/", &[]);
        let check = |millis: i64, expected: &str| {
            let instant = Timestamp::from_millis(page.now().as_millis() - millis);
            assert_eq!(page.ago(&instant), expected, "{millis}");
        };
        check(0, "now");
        check(30_000, "30 s ago");
        check(-120_000, "in 2 min");
        check(7_200_000, "2 h ago");
        check(86_400_000, "1 day ago");
        check(-259_200_000, "in 3 days");
        check(86_400_000 * 60, "2025-02-01");
    }
}
