//! Policies of the object store: who may do what with which buckets and objects.
//!
//! The language is a part of IAM's: `Effect`, `Principal` (in policies of buckets), `Action`, `Resource` and conditions
//! on `s3:prefix`. What is not of that part is refused when a policy is read, so that no policy says more than holds.

mod actions;

use serde_json::{Map, Value};

use crate::Error;

const RESOURCE_PREFIX: &str = "arn:aws:s3:::";
/// AWS' own limit of a bucket policy.
const MAX_BYTES: usize = 20 * 1024;
const OPERATORS: [&str; 4] = ["StringEquals", "StringNotEquals", "StringLike", "StringNotLike"];

/// A policy that was read and understood as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    statements: Vec<Statement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Statement {
    is_allow: bool,
    principal: Option<Principal>,
    actions: Vec<String>,
    /// Without `arn:aws:s3:::`.
    resources: Vec<String>,
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Principal {
    Everyone,
    Named(Vec<String>),
}

/// A test of `s3:prefix`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition {
    is_like: bool,
    is_negated: bool,
    values: Vec<String>,
}

/// Whom a policy belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyOf {
    /// To a key: it says nothing about principals.
    Key,
    /// To a bucket: each statement names its principals.
    Bucket,
}

/// Something that somebody wants to do.
#[derive(Debug, Clone, Copy)]
pub struct Access<'a> {
    /// Who asks: the name and the id of a key; nothing for a request without a signature.
    pub principals: &'a [&'a str],
    /// Such as `s3:GetObject`.
    pub action: &'a str,
    /// `bucket` or `bucket/key`.
    pub resource: &'a str,
    /// The prefix that a list asks for.
    pub prefix: Option<&'a str>,
}

/// What a policy says of an access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A statement denies it, whatever others say.
    Denied,
    /// A statement allows it and none denies it.
    Allowed,
    /// No statement is about it.
    Unsaid,
}

/// What a key may do in its buckets, for those who write no policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageAccess {
    /// To list and read.
    Read,
    /// To list, read, write and delete objects.
    Write,
    /// Everything, settings of buckets and buckets themselves too.
    Full,
}

impl StorageAccess {
    fn actions(self) -> &'static [&'static str] {
        match self {
            Self::Read => &["s3:Get*", "s3:List*"],
            Self::Write => &[
                "s3:Get*",
                "s3:List*",
                "s3:PutObject*",
                "s3:DeleteObject*",
                "s3:AbortMultipartUpload",
            ],
            Self::Full => &["s3:*"],
        }
    }
}

impl Policy {
    /// Reads a policy that somebody wrote.
    ///
    /// # Errors
    /// [`Error::InvalidPolicy`] tells the first thing that is not understood.
    pub fn parse(text: &str, of: PolicyOf) -> Result<Self, Error> {
        let policy = Self::parse_kept(text, of)?;
        let mut actions = policy.statements.iter().flat_map(|statement| &statement.actions);
        actions.try_for_each(|action| actions::expect_known(action))?;
        Ok(policy)
    }

    /// Reads a policy that was taken once. It may name actions that are unknown by now, or were let pass: refused, it would
    /// close what its other statements open.
    ///
    /// # Errors
    /// [`Error::InvalidPolicy`] tells the first thing that is not understood.
    pub fn parse_kept(text: &str, of: PolicyOf) -> Result<Self, Error> {
        if text.len() > MAX_BYTES {
            return Err(invalid(format!("the policy is longer than {MAX_BYTES} bytes")));
        }
        let document: Value = serde_json::from_str(text)
            .map_err(|error| invalid(format!("the policy is not JSON: {error}")))?;
        let document = object(&document, "the policy")?;
        expect_names(document, &["Version", "Id", "Statement"], "the policy")?;
        let statements: Vec<&Value> = match document.get("Statement") {
            Some(Value::Array(statements)) if !statements.is_empty() => statements.iter().collect(),
            Some(statement @ Value::Object(_)) => vec![statement],
            _ => return Err(invalid("the policy has no Statement")),
        };
        let statements = statements
            .into_iter()
            .map(|statement| Statement::parse(statement, of))
            .collect::<Result<_, _>>()?;
        Ok(Self { statements })
    }

    /// Returns a policy of a key that allows `actions` on whole buckets and what is in them; on all where none is named.
    pub fn for_buckets(actions: &[&str], buckets: &[String]) -> Self {
        let resources = match buckets {
            [] => vec!["*".to_owned()],
            named => named
                .iter()
                .flat_map(|bucket| [bucket.clone(), format!("{bucket}/*")])
                .collect(),
        };
        let statement = Statement {
            is_allow: true,
            principal: None,
            actions: actions.iter().map(|action| action.to_ascii_lowercase()).collect(),
            resources,
            conditions: Vec::new(),
        };
        Self {
            statements: vec![statement],
        }
    }

    /// Returns a policy of a key for whole buckets and what is in them; for all where none is named.
    pub fn of(access: StorageAccess, buckets: &[String]) -> Self {
        Self::for_buckets(access.actions(), buckets)
    }

    /// Returns a policy that allows nothing.
    pub fn nothing() -> Self {
        let statements = Vec::new();
        Self { statements }
    }

    /// Returns what the policy says of an access.
    pub fn verdict(&self, access: Access<'_>) -> Verdict {
        let mut verdict = Verdict::Unsaid;
        for statement in self
            .statements
            .iter()
            .filter(|statement| statement.is_about(access))
        {
            if !statement.is_allow {
                return Verdict::Denied;
            }
            verdict = Verdict::Allowed;
        }
        verdict
    }

    /// Returns whether anything in a bucket may be allowed, so that the bucket is worth showing.
    pub fn reaches(&self, bucket: &str) -> bool {
        let reaches = |resource: &String| {
            let of_bucket = resource.split('/').next().unwrap_or_default();
            matches(of_bucket, bucket)
        };
        let mut allowing = self.statements.iter().filter(|statement| statement.is_allow);
        let is_reached = allowing.any(|statement| statement.resources.iter().any(reaches));
        let hides = |statement: &Statement| {
            !statement.is_allow
                && statement.conditions.is_empty()
                && statement
                    .actions
                    .iter()
                    .any(|action| matches(action, "s3:listbucket"))
                && statement
                    .resources
                    .iter()
                    .any(|resource| matches(resource, bucket))
        };
        is_reached && !self.statements.iter().any(hides)
    }

    /// Returns whether every statement names resources of one bucket alone.
    pub fn is_within(&self, bucket: &str) -> bool {
        let mut resources = self.statements.iter().flat_map(|statement| &statement.resources);
        resources.all(|resource| resource.split('/').next() == Some(bucket))
    }

    /// Returns whether the policy allows something to requests without a signature.
    pub fn is_public(&self) -> bool {
        let is_open =
            |statement: &Statement| statement.is_allow && statement.principal == Some(Principal::Everyone);
        self.statements.iter().any(is_open)
    }

    /// Writes the policy as it can be read again.
    pub fn to_json(&self) -> String {
        let statements: Vec<Value> = self.statements.iter().map(Statement::to_json).collect();
        serde_json::json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
    }
}

impl Statement {
    fn parse(statement: &Value, of: PolicyOf) -> Result<Self, Error> {
        let statement = object(statement, "a Statement")?;
        let known = ["Sid", "Effect", "Principal", "Action", "Resource", "Condition"];
        expect_names(statement, &known, "a Statement")?;
        let is_allow = match statement.get("Effect").and_then(Value::as_str) {
            Some("Allow") => true,
            Some("Deny") => false,
            _ => return Err(invalid("the Effect of a Statement is Allow or Deny")),
        };
        let principal = match (of, statement.get("Principal")) {
            (PolicyOf::Key, None) => None,
            (PolicyOf::Key, Some(_)) => {
                return Err(invalid(
                    "the policy of a key has no Principal: it is about its key",
                ));
            }
            (PolicyOf::Bucket, Some(principal)) => Some(Principal::parse(principal)?),
            (PolicyOf::Bucket, None) => {
                return Err(invalid("each Statement of a bucket's policy names its Principal"));
            }
        };
        let actions = texts(statement.get("Action"), "Action")?
            .into_iter()
            .map(
                |action| match action == "*" || action.to_ascii_lowercase().starts_with("s3:") {
                    true => Ok(action.to_ascii_lowercase()),
                    false => Err(invalid(format!("the Action {action:?} is not one of s3:"))),
                },
            )
            .collect::<Result<_, _>>()?;
        let resources = texts(statement.get("Resource"), "Resource")?
            .into_iter()
            .map(|resource| match resource.strip_prefix(RESOURCE_PREFIX) {
                Some(rest) if !rest.is_empty() => Ok(rest.to_owned()),
                _ if resource == "*" => Ok(resource),
                _ => Err(invalid(format!(
                    "the Resource {resource:?} is not like {RESOURCE_PREFIX}BUCKET or {RESOURCE_PREFIX}BUCKET/KEY"
                ))),
            })
            .collect::<Result<_, _>>()?;
        let conditions = match statement.get("Condition") {
            None => Vec::new(),
            Some(conditions) => Condition::parse_all(object(conditions, "a Condition")?)?,
        };
        Ok(Self {
            is_allow,
            principal,
            actions,
            resources,
            conditions,
        })
    }

    fn is_about(&self, access: Access<'_>) -> bool {
        let action = access.action.to_ascii_lowercase();
        self.principal
            .as_ref()
            .is_none_or(|principal| principal.is(access.principals))
            && self.actions.iter().any(|pattern| matches(pattern, &action))
            && self
                .resources
                .iter()
                .any(|pattern| matches(pattern, access.resource))
            && self
                .conditions
                .iter()
                .all(|condition| condition.holds(access.prefix))
    }

    fn to_json(&self) -> Value {
        let mut statement = serde_json::json!({
            "Effect": if self.is_allow { "Allow" } else { "Deny" },
            "Action": self.actions,
            "Resource": self.resources.iter().map(|resource| match resource.as_str() {
                "*" => "*".to_owned(),
                resource => format!("{RESOURCE_PREFIX}{resource}"),
            }).collect::<Vec<_>>(),
        });
        match &self.principal {
            None => {}
            Some(Principal::Everyone) => statement["Principal"] = "*".into(),
            Some(Principal::Named(names)) => statement["Principal"] = serde_json::json!({ "AWS": names }),
        }
        for condition in &self.conditions {
            let operator = match (condition.is_like, condition.is_negated) {
                (false, false) => "StringEquals",
                (false, true) => "StringNotEquals",
                (true, false) => "StringLike",
                (true, true) => "StringNotLike",
            };
            statement["Condition"][operator]["s3:prefix"] = serde_json::json!(condition.values);
        }
        statement
    }
}

impl Principal {
    fn parse(value: &Value) -> Result<Self, Error> {
        let names = match value {
            Value::String(text) => vec![text.clone()],
            Value::Object(kinds) => {
                expect_names(kinds, &["AWS"], "a Principal")?;
                texts(kinds.get("AWS"), "Principal")?
            }
            _ => return Err(invalid("a Principal is \"*\" or {\"AWS\": [...]}")),
        };
        if names.iter().any(|name| name == "*") {
            return Ok(Self::Everyone);
        }
        // Amazon's own form of a user's name ends in the name.
        let name = |name: String| match name.split_once(":user/") {
            Some((start, user)) if start.starts_with("arn:aws:iam::") => user.to_owned(),
            _ => name,
        };
        Ok(Self::Named(names.into_iter().map(name).collect()))
    }

    fn is(&self, principals: &[&str]) -> bool {
        match self {
            Self::Everyone => true,
            Self::Named(names) => names.iter().any(|name| principals.contains(&name.as_str())),
        }
    }
}

impl Condition {
    fn parse_all(conditions: &Map<String, Value>) -> Result<Vec<Self>, Error> {
        let mut parsed = Vec::new();
        for (operator, tests) in conditions {
            if !OPERATORS.contains(&operator.as_str()) {
                let known = OPERATORS.join(", ");
                return Err(invalid(format!(
                    "the condition {operator:?} is not one of {known}"
                )));
            }
            let tests = object(tests, "a condition")?;
            if tests.len() > 1 {
                return Err(invalid(format!(
                    "the condition {operator} has more than one test"
                )));
            }
            for (name, values) in tests {
                if !name.eq_ignore_ascii_case("s3:prefix") {
                    return Err(invalid(format!(
                        "a condition on {name:?} is not offered, only on s3:prefix"
                    )));
                }
                parsed.push(Self {
                    is_like: operator.ends_with("Like"),
                    is_negated: operator.contains("Not"),
                    values: texts(Some(values), "Condition")?,
                });
            }
        }
        Ok(parsed)
    }

    /// As in IAM, a request without the value meets no test, and every negated one.
    fn holds(&self, prefix: Option<&str>) -> bool {
        let is_met = |value: &String| match (prefix, self.is_like) {
            (None, _) => false,
            (Some(prefix), true) => matches(value, prefix),
            (Some(prefix), false) => value == prefix,
        };
        self.values.iter().any(is_met) != self.is_negated
    }
}

fn invalid(reason: impl Into<String>) -> Error {
    Error::InvalidPolicy {
        reason: reason.into(),
    }
}

fn object<'a>(value: &'a Value, what: &str) -> Result<&'a Map<String, Value>, Error> {
    value
        .as_object()
        .ok_or_else(|| invalid(format!("{what} is not an object")))
}

fn expect_names(object: &Map<String, Value>, known: &[&str], what: &str) -> Result<(), Error> {
    match object.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(invalid(format!(
            "{name:?} is not offered in {what}, only {}",
            known.join(", ")
        ))),
    }
}

/// Reads one text or a list of them.
fn texts(value: Option<&Value>, name: &str) -> Result<Vec<String>, Error> {
    let texts: Option<Vec<String>> = match value {
        Some(Value::String(text)) => Some(vec![text.clone()]),
        Some(Value::Array(values)) => values
            .iter()
            .map(|value| value.as_str().map(str::to_owned))
            .collect(),
        _ => None,
    };
    let texts = texts.filter(|texts| !texts.is_empty());
    let texts = texts.ok_or_else(|| invalid(format!("{name} must be a text or a list of texts")))?;
    match texts.iter().find(|text| text.contains("${")) {
        None => Ok(texts),
        Some(text) => Err(invalid(format!("variables such as in {text:?} are not offered"))),
    }
}

/// Compares with a pattern where `*` stands for any text and `?` for one character.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut position) = (0, 0);
    // Where the last star is, and how far it reaches: only that one can need to reach further.
    let mut star: Option<(usize, usize)> = None;
    while position < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, position));
                at += 1;
            }
            Some(one) if *one == '?' || *one == text[position] => {
                at += 1;
                position += 1;
            }
            _ => {
                let Some((star_at, reached)) = star else {
                    return false;
                };
                star = Some((star_at, reached + 1));
                at = star_at + 1;
                position = reached + 1;
            }
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_match() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "a/b", true),
            ("a*c", "abbc", true),
            ("a*c", "abbcd", false),
            ("a*b*c", "aXbYbZc", true),
            ("s3:get*", "s3:getobject", true),
            ("a?c", "añc", true),
            ("a?c", "ac", false),
            ("", "", true),
            ("", "a", false),
            ("data/*", "data/", true),
            ("data/*", "data", false),
            ("*a*a*a*a*a*a*a*b", &"a".repeat(500), false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    fn key_policy(text: &str) -> Policy {
        Policy::parse(text, PolicyOf::Key).unwrap()
    }

    fn ask(policy: &Policy, action: &str, resource: &str, prefix: Option<&str>) -> Verdict {
        policy.verdict(Access {
            principals: &["ana", "FRK1"],
            action,
            resource,
            prefix,
        })
    }

    #[test]
    fn deny_wins_and_silence_is_told() {
        let policy = key_policy(
            r#"{"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": ["s3:Get*", "s3:PutObject"], "Resource": "arn:aws:s3:::data/*"},
                {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::data",
                 "Condition": {"StringLike": {"s3:prefix": ["open/*", ""]}}},
                {"Sid": "no", "Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::data/secret/*"}
            ]}"#,
        );
        for (action, resource, prefix, expected) in [
            ("s3:GetObject", "data/a", None, Verdict::Allowed),
            ("S3:getobject", "data/a", None, Verdict::Allowed),
            ("s3:GetObject", "data/secret/a", None, Verdict::Denied),
            ("s3:DeleteObject", "data/a", None, Verdict::Unsaid),
            ("s3:GetObject", "other/a", None, Verdict::Unsaid),
            ("s3:GetObject", "data", None, Verdict::Unsaid),
            ("s3:ListBucket", "data", Some("open/x"), Verdict::Allowed),
            ("s3:ListBucket", "data", Some(""), Verdict::Allowed),
            ("s3:ListBucket", "data", Some("closed"), Verdict::Unsaid),
            ("s3:ListBucket", "data", None, Verdict::Unsaid),
        ] {
            assert_eq!(
                ask(&policy, action, resource, prefix),
                expected,
                "{action} {resource} {prefix:?}"
            );
        }
        assert!(policy.reaches("data") && !policy.reaches("other") && !policy.reaches("dat"));
        assert_eq!(key_policy(&policy.to_json()), policy);
    }

    #[test]
    fn a_policy_for_buckets_is_about_them_alone() {
        let policy = Policy::for_buckets(&["s3:Get*"], &["a".to_owned(), "b".to_owned()]);
        assert_eq!(ask(&policy, "s3:GetObject", "a/x", None), Verdict::Allowed);
        assert_eq!(ask(&policy, "s3:GetBucketLocation", "b", None), Verdict::Allowed);
        assert_eq!(ask(&policy, "s3:GetObject", "ab/x", None), Verdict::Unsaid);
        assert_eq!(ask(&policy, "s3:PutObject", "a/x", None), Verdict::Unsaid);
        let all = Policy::for_buckets(&["s3:*"], &[]);
        assert_eq!(ask(&all, "s3:PutObject", "any/x", None), Verdict::Allowed);
        assert!(all.reaches("any") && key_policy(&all.to_json()) == all);
    }

    #[test]
    fn a_bucket_policy_names_who_it_is_about() {
        let open = r#"{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
                       "Resource": "arn:aws:s3:::web/*"}}"#;
        let open = Policy::parse(open, PolicyOf::Bucket).unwrap();
        let nobody = Access {
            principals: &[],
            action: "s3:GetObject",
            resource: "web/a",
            prefix: None,
        };
        assert!(open.is_public() && open.verdict(nobody) == Verdict::Allowed);
        for (principal, is_ana) in [
            (r#"{"AWS": "ana"}"#, true),
            (r#"{"AWS": ["x", "FRK1"]}"#, true),
            (r#"{"AWS": "arn:aws:iam::123456789012:user/ana"}"#, true),
            (r#"{"AWS": ["bea"]}"#, false),
        ] {
            let text = format!(
                r#"{{"Statement": [{{"Effect": "Allow", "Principal": {principal}, "Action": "*", "Resource": "*"}}]}}"#
            );
            let policy = Policy::parse(&text, PolicyOf::Bucket).unwrap();
            let verdict = ask(&policy, "s3:GetObject", "web/a", None);
            assert_eq!(verdict == Verdict::Allowed, is_ana, "{principal}");
            assert!(!policy.is_public() && policy.verdict(nobody) == Verdict::Unsaid);
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let statement = |rest: &str| format!(r#"{{"Statement": [{{{rest}}}]}}"#);
        let good = r#""Effect": "Allow", "Action": "s3:*", "Resource": "*""#;
        let long = statement(&format!(r#"{good}, "Sid": "{}""#, "x".repeat(MAX_BYTES)));
        for (text, words) in [
            ("[]".to_owned(), "not an object"),
            ("{".to_owned(), "not JSON"),
            (r#"{"Statement": []}"#.to_owned(), "no Statement"),
            (
                r#"{"Rules": [], "Statement": {}}"#.to_owned(),
                "\"Rules\" is not offered",
            ),
            (
                statement(r#""Effect": "allow", "Action": "s3:*", "Resource": "*""#),
                "Allow or Deny",
            ),
            (
                statement(r#""Effect": "Allow", "Action": "ec2:*", "Resource": "*""#),
                "is not one of s3:",
            ),
            (
                statement(r#""Effect": "Allow", "Action": "s3:*", "Resource": "data/*""#),
                "arn:aws:s3:::",
            ),
            (
                statement(r#""Effect": "Allow", "Action": [], "Resource": "*""#),
                "Action must be",
            ),
            (
                statement(r#""Effect": "Allow", "Action": "s3:*", "Resource": 1"#),
                "Resource must be",
            ),
            (
                statement(&format!(r#"{good}, "NotAction": "x""#)),
                "\"NotAction\" is not offered",
            ),
            (
                statement(&format!(r#"{good}, "Principal": "*""#)),
                "has no Principal",
            ),
            (
                statement(&format!(
                    r#"{good}, "Condition": {{"IpAddress": {{"aws:SourceIp": "::1"}}}}"#
                )),
                "\"IpAddress\" is not one of",
            ),
            (
                statement(&format!(
                    r#"{good}, "Condition": {{"StringEquals": {{"aws:username": "x"}}}}"#
                )),
                "only on s3:prefix",
            ),
            (long, "longer than"),
        ] {
            let error = Policy::parse(&text, PolicyOf::Key).unwrap_err().to_string();
            assert!(error.contains(words), "{error} of {text}");
        }
        let error = Policy::parse(&statement(good), PolicyOf::Bucket).unwrap_err();
        assert!(error.to_string().contains("names its Principal"));
        let federated = statement(&format!(r#"{good}, "Principal": {{"Federated": "x"}}"#));
        assert!(Policy::parse(&federated, PolicyOf::Bucket).is_err());
    }
}
