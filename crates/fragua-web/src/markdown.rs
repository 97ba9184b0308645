//! Descriptions and notes that people write in Markdown.

use std::sync::LazyLock;

use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

use crate::markup::Markup;

/// What is left after the parser has written only elements of its own: a second fence, should the first have a gap.
static FENCE: LazyLock<ammonia::Builder<'static>> = LazyLock::new(|| {
    let mut fence = ammonia::Builder::default();
    fence
        .url_schemes(["http", "https", "mailto"].into())
        .rm_tags(["img", "map", "area"])
        .link_rel(Some("noopener noreferrer nofollow"));
    fence
});

/// Renders Markdown. HTML in it is shown as text, pictures become links (the content policy loads nothing from
/// elsewhere), and headings start below those of the page.
pub(crate) fn render(text: &str) -> Markup {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let events = Parser::new_ext(text, options).map(|event| match event {
        Event::Html(html) | Event::InlineHtml(html) => Event::Text(html),
        Event::Start(Tag::HtmlBlock) => Event::Start(Tag::Paragraph),
        Event::End(TagEnd::HtmlBlock) => Event::End(TagEnd::Paragraph),
        Event::Start(Tag::Image {
            link_type,
            dest_url,
            title,
            ..
        }) => Event::Start(Tag::Link {
            link_type,
            dest_url,
            title,
            id: CowStr::Borrowed(""),
        }),
        Event::End(TagEnd::Image) => Event::End(TagEnd::Link),
        Event::Start(Tag::Heading {
            level,
            id,
            classes,
            attrs,
        }) => Event::Start(Tag::Heading {
            level: below_the_page(level),
            id,
            classes,
            attrs,
        }),
        Event::End(TagEnd::Heading(level)) => Event::End(TagEnd::Heading(below_the_page(level))),
        Event::TaskListMarker(done) => Event::Text(CowStr::Borrowed(if done { "☑ " } else { "☐ " })),
        other => other,
    });
    let mut written = String::with_capacity(text.len() * 3 / 2);
    html::push_html(&mut written, events);
    Markup::trusted(FENCE.clean(&written).to_string())
}

/// Returns the text of Markdown without its signs, for a line in a list.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Text(text) | Event::Code(text) | Event::Html(text) | Event::InlineHtml(text) => {
                plain.push_str(&text);
            }
            // Within a word.
            Event::End(TagEnd::Strong | TagEnd::Emphasis | TagEnd::Link | TagEnd::Image) => {}
            Event::SoftBreak | Event::HardBreak | Event::End(_) => plain.push(' '),
            _ => {}
        }
    }
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn below_the_page(level: HeadingLevel) -> HeadingLevel {
    match level {
        HeadingLevel::H1 => HeadingLevel::H3,
        HeadingLevel::H2 => HeadingLevel::H4,
        HeadingLevel::H3 => HeadingLevel::H5,
        _ => HeadingLevel::H6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_people_use() {
        for (text, expected) in [
            ("", ""),
            ("# Title\n\n*why*", "<h3>Title</h3>\n<p><em>why</em></p>\n"),
            ("- [x] done", "<ul>\n<li>☑ done</li>\n</ul>\n"),
            (
                "|a|\n|-|\n|1|",
                "<table><thead><tr><th>a</th></tr></thead><tbody>\n<tr><td>1</td></tr>\n</tbody></table>\n",
            ),
            (
                "[x](https://e.org/?a=1&b=2)",
                "<p><a href=\"https://e.org/?a=1&amp;b=2\" rel=\"noopener noreferrer nofollow\">x</a></p>\n",
            ),
        ] {
            assert_eq!(render(text).to_string(), expected, "{text}");
        }
    }

    #[test]
    fn nothing_in_it_runs_or_loads() {
        for text in [
            "<script>alert(1)</script>",
            "a <img src=x onerror=alert(1)> b",
            "<svg/onload=alert(1)>",
            "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
            "[x](javascript:alert(1))",
            "[x](JaVaScRiPt:alert(1))",
            "[x](java\nscript:alert(1))",
            "[x](data:text/html,<script>alert(1)</script>)",
            "[x](vbscript:x)",
            "![x](https://evil.example/pixel.png)",
            "![x](x \"\" onerror=alert(1))",
            "[x]: javascript:alert(1)\n\n[x]",
            "<a href=\"javascript:alert(1)\">x</a>",
            "<javascript:alert(1)>",
            "```\"><script>alert(1)</script>\n```",
            "# x {onclick=alert(1)}",
        ] {
            let html = render(text).to_string().to_ascii_lowercase();
            // What acts stands inside a tag; the same letters in a text are only letters.
            for tag in html.split('<').skip(1).filter_map(|part| part.split_once('>')) {
                let name = tag.0.split([' ', '/']).next().unwrap();
                assert!(
                    !["script", "img", "svg", "iframe"].contains(&name),
                    "{text}: {html}"
                );
                for forbidden in [" on", "javascript:", "data:", "vbscript:"] {
                    assert!(!tag.0.contains(forbidden), "{text}: {html}");
                }
            }
        }
    }
}
