//! Which tables a statement writes, as far as its text tells.

/// Returns the names of the tables that statements write: those of `INSERT`, `UPDATE`, `DELETE`, `MERGE`, `REPLACE`,
/// `TRUNCATE`, `COPY` and `SELECT INTO`, and of tables that are made from a query.
pub(super) fn written_tables(text: &str) -> Vec<String> {
    let mut tables = Vec::new();
    for statement in statements(text) {
        let words: Vec<String> = statement.iter().map(|word| word.to_ascii_uppercase()).collect();
        let word = |place: usize| words.get(place).map_or("", String::as_str);
        for place in 0..words.len() {
            let before = place.checked_sub(1).map_or("", word);
            let name = match word(place) {
                "INTO" if !matches!(word(place + 1), "OUTFILE" | "DUMPFILE") => place + 1,
                "FROM" if before == "DELETE" => place + 1,
                "UPDATE" if !matches!(before, "DO" | "FOR" | "KEY" | "ON") => place + 1,
                "TRUNCATE" | "COPY" if place == 0 => place + 1,
                "TABLE" if word(0) == "CREATE" && words.iter().any(|word| word == "SELECT") => place + 1,
                _ => continue,
            };
            let noise = ["TABLE", "ONLY", "IF", "NOT", "EXISTS", "IGNORE", "LOW_PRIORITY"];
            let name = (name..words.len()).find(|place| !noise.contains(&word(*place)));
            let name = name.and_then(|place| statement.get(place));
            tables.extend(name.filter(|name| is_name(name)).cloned());
        }
    }
    tables
}

fn is_name(word: &str) -> bool {
    word.chars()
        .all(|character| character.is_alphanumeric() || "_$.".contains(character))
}

/// Returns the words of each statement outside of parentheses; the quotes of a name are taken away, what stands in
/// quotes as a value is left out.
fn statements(text: &str) -> Vec<Vec<String>> {
    let mut statements = vec![Vec::new()];
    let mut word = String::new();
    let mut depth = 0_usize;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character.is_alphanumeric() || "_$.".contains(character) {
            word.push(character);
            continue;
        }
        if matches!(character, '"' | '`') {
            word.extend(characters.by_ref().take_while(|inner| *inner != character));
            continue;
        }
        let ended = std::mem::take(&mut word);
        if let Some(statement) = statements.last_mut().filter(|_| depth == 0 && !ended.is_empty()) {
            statement.push(ended);
        }
        match character {
            '\'' => characters
                .by_ref()
                .take_while(|inner| *inner != '\'')
                .for_each(drop),
            '-' if characters.peek() == Some(&'-') => {
                characters
                    .by_ref()
                    .take_while(|inner| *inner != '\n')
                    .for_each(drop);
            }
            '/' if characters.peek() == Some(&'*') => {
                let mut last = ' ';
                for inner in characters.by_ref().skip(1) {
                    if last == '*' && inner == '/' {
                        break;
                    }
                    last = inner;
                }
            }
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ';' if depth == 0 => statements.push(Vec::new()),
            _ => {}
        }
    }
    if let Some(statement) = statements.last_mut().filter(|_| depth == 0 && !word.is_empty()) {
        statement.push(word);
    }
    statements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_that_are_written_are_found() {
        for (text, expected) in [
            ("INSERT INTO sales VALUES (1)", vec!["sales"]),
            (
                "insert into shop.sales (a, b) select a, b from rows",
                vec!["shop.sales"],
            ),
            ("INSERT OR REPLACE INTO \"the sales\" VALUES ('INTO x')", vec![]),
            ("REPLACE INTO `sales` VALUES (1)", vec!["sales"]),
            ("UPDATE sales SET a = 1 WHERE b = 'update x'", vec!["sales"]),
            (
                "INSERT INTO s VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2",
                vec!["s"],
            ),
            (
                "INSERT INTO s VALUES (1) ON DUPLICATE KEY UPDATE a = 2",
                vec!["s"],
            ),
            ("DELETE FROM ONLY sales", vec!["sales"]),
            ("TRUNCATE TABLE sales", vec!["sales"]),
            ("MERGE INTO sales USING rows ON a = b", vec!["sales"]),
            (
                "WITH r AS (SELECT 1 FROM q FOR UPDATE) INSERT INTO s SELECT * FROM r",
                vec!["s"],
            ),
            ("CREATE TABLE IF NOT EXISTS s (a INT)", vec![]),
            ("CREATE TABLE IF NOT EXISTS s AS SELECT 1", vec!["s"]),
            ("SELECT * FROM a -- INSERT INTO b", vec![]),
            ("SELECT a FROM s FOR UPDATE", vec![]),
            (
                "/* INSERT INTO a */ DELETE FROM b; UPDATE c SET d = 1;",
                vec!["b", "c"],
            ),
            ("COPY s FROM '/tmp/x'", vec!["s"]),
            ("SELECT 1 INTO t FROM s", vec!["t"]),
            ("", vec![]),
        ] {
            assert_eq!(written_tables(text), expected, "{text}");
        }
    }
}
