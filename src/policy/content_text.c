/* What a person sees of HTML, and where links lead. No HTML parser: tags go, entities become characters, scripts and styles
 * are passed over; a tag that stands inside a line (b, span, font ...) does not part a word, others do. */
#include "base/encode.h"
#include "base/text.h"
#include "policy/content_inside.h"

enum { TAG_MAX = 4096, ENTITY_MAX = 10, HOST_MAX = 253, URL_MAX = 1024, SHOWN_MAX = 200 };

/* ---- hosts ---- */

static int hex_value(char ch)
{
	if (text_is_digit(ch))
		return ch - '0';
	ch = text_lower_char(ch);
	return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

/* %41 in a host is an A to browsers. */
static struct bytes unescaped(struct content *c, struct bytes host)
{
	char *out = arena_get(&c->arena, host.len + 1);
	size_t len = 0;

	for (size_t i = 0; i < host.len; i++) {
		int high = host.ptr[i] == '%' && i + 2 < host.len ? hex_value(host.ptr[i + 1]) : -1;
		int low = high >= 0 ? hex_value(host.ptr[i + 2]) : -1;

		out[len++] = low >= 0 ? (char)(high * 16 + low) : host.ptr[i];
		i += low >= 0 ? 2 : 0;
	}
	return bytes_of(out, len);
}

static size_t scheme_len(struct bytes url)
{
	static const char *const schemes[] = {"https://", "http://", "ftp://", "//"};

	for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++) {
		if (bytes_starts_nocase(url, bytes_of_text(schemes[i])))
			return strlen(schemes[i]);
	}
	return 0;
}

struct bytes content_host(struct content *c, struct bytes url, bool *ret_user)
{
	struct bytes host = bytes_skip(bytes_trim(url), scheme_len(bytes_trim(url))), canonical;
	size_t end = 0, at;
	struct ip ip;

	host = bytes_first(host, URL_MAX);
	while (end < host.len &&
	       bytes_find_char(BYTES("/?#\\ \t\r\n\"'<>"), host.ptr[end]) == BYTES_NONE)
		end++;
	host = bytes_first(host, end);
	at = bytes_find_last(host, '@');
	*ret_user = at != BYTES_NONE && at > 0;
	host = bytes_skip(host, at == BYTES_NONE ? 0 : at + 1);
	host = unescaped(c, bytes_first(host, bytes_find_char(host, ':')));
	while (host.len && host.ptr[host.len - 1] == '.')
		host.len--;
	if (host.len == 0 || host.len > HOST_MAX)
		return (struct bytes){0};
	if (ip_parse(host, &ip) == OK)
		return host;
	if (bytes_find_char(host, '.') == BYTES_NONE ||
	    config_domain_canonical(host, &c->arena, &canonical) != OK)
		return (struct bytes){0};
	return canonical;
}

static void host_note(struct content *c, struct bytes host)
{
	struct content_seen *s = &c->seen;

	for (size_t i = 0; i < s->host_count; i++) {
		if (bytes_equal(c->hosts[i], host))
			return;
	}
	if (s->host_count < CONTENT_HOSTS)
		c->hosts[s->host_count++] = host;
}

/* Is what a person sees itself the name of a host? */
static bool shows_host(struct bytes shown)
{
	shown = bytes_trim(shown);
	if (shown.len < 4 || shown.len > SHOWN_MAX || bytes_find_char(shown, ' ') != BYTES_NONE ||
	    bytes_find_char(shown, '@') != BYTES_NONE || !text_is_ascii(shown))
		return false;
	return scheme_len(shown) > 0 || bytes_starts_nocase(shown, BYTES("www."));
}

void content_link_note(struct content *c, struct bytes url, struct bytes shown)
{
	bool user = false, other;
	struct bytes host, name;

	if (scheme_len(bytes_trim(url)) == 0 &&
	    !bytes_starts_nocase(bytes_trim(url), BYTES("www.")))
		return;
	if (c->seen.links >= LINKS_MAX)
		return;
	c->seen.links++;
	host = content_host(c, url, &user);
	if (host.len == 0)
		return;
	c->user_in_link = c->user_in_link || user;
	host_note(c, host);
	if (!shows_host(shown) || c->misleading_count == MISLEADING_MAX)
		return;
	name = content_host(c, shown, &other);
	if (name.len && !bytes_equal(name, host))
		c->misleading[c->misleading_count++] = (struct content_link){name, host};
}

/* ---- links in plain text ---- */

static size_t url_start(struct bytes text)
{
	size_t best = BYTES_NONE, at = bytes_find(text, BYTES("://"));

	if (at != BYTES_NONE) {
		size_t s = at;

		while (s > 0 && text_is_alpha(text.ptr[s - 1]))
			s--;
		best = s;
	}
	at = bytes_find_nocase(bytes_first(text, best), BYTES("www."));
	return at < best ? at : best;
}

/* Octets of a URL; one in Japanese text ends where the ASCII ends. */
static size_t url_len(struct bytes text)
{
	size_t len = 0;

	while (len < text.len && (unsigned char)text.ptr[len] > ' ' &&
	       (unsigned char)text.ptr[len] < 0x7f &&
	       bytes_find_char(BYTES("<>\"|`"), text.ptr[len]) == BYTES_NONE)
		len++;
	return len;
}

void content_text_plain(struct content *c, struct bytes text)
{
	struct bytes rest = text = bytes_first(text, TEXT_MAX - buf_len(&c->text));
	size_t at;

	buf_append(&c->text, text);
	while (c->seen.links < LINKS_MAX && (at = url_start(rest)) != BYTES_NONE) {
		struct bytes url = bytes_skip(rest, at);
		size_t len = url_len(url);

		content_link_note(c, bytes_first(url, len), (struct bytes){0});
		rest = bytes_skip(url, len ? len : 1);
	}
}

/* ---- HTML ---- */

struct html {
	struct content *c;
	struct bytes rest;
	struct bytes href; /* of the anchor that is open; empty: none */
	size_t anchor;     /* where its text begins in c->text */
};

static const struct {
	const char *name, *character;
} entities[] = {
        {"amp", "&"},  {"lt", "<"},          {"gt", ">"}, {"quot", "\""}, {"apos", "'"},
        {"nbsp", " "}, {"copy", "\302\251"}, {"shy", ""}, {"zwnj", ""},   {"zwj", ""},
};

/* &amp; &#38; &#x26; Returns octets taken; 0: it is none. */
static size_t put_entity(struct buf *out, struct bytes in)
{
	size_t end = bytes_find_char(bytes_first(in, ENTITY_MAX + 2), ';');
	struct bytes name = bytes_first(bytes_skip(in, 1), end == BYTES_NONE ? 0 : end - 1);
	uint64_t code = 0;
	char text[4];

	if (end == BYTES_NONE || name.len == 0)
		return 0;
	for (size_t i = 0; i < sizeof(entities) / sizeof(*entities); i++) {
		if (bytes_equal_nocase(name, bytes_of_text(entities[i].name))) {
			buf_append_text(out, entities[i].character);
			return end + 1;
		}
	}
	if (name.len < 2 || name.ptr[0] != '#')
		return 0;
	if (text_lower_char(name.ptr[1]) == 'x') {
		for (size_t i = 2; i < name.len; i++) {
			int digit = hex_value(name.ptr[i]);

			if (digit < 0)
				return 0;
			code = code * 16 + (uint64_t)digit;
		}
	} else if (bytes_to_u64(bytes_skip(name, 1), 0x10ffff, &code) != OK) {
		return 0;
	}
	if (code < ' ' || code == 0xad || (code >= 0x200b && code <= 0x200f)) {
		buf_append_char(out, code < ' ' ? ' ' : '\0');
		if (code >= ' ')
			buf_truncate(out, buf_len(out) - 1);
		return end + 1;
	}
	if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return end + 1;
	buf_append(out, bytes_of(text, (size_t)text_utf8_put(text, (uint32_t)code)));
	return end + 1;
}

/* The value of an attribute in a tag's text; entities as they stand but for &amp;. */
static struct bytes attribute(struct content *c, struct bytes tag, struct bytes name)
{
	struct bytes rest = tag, value;
	struct buf out = {0};
	size_t at;

	while ((at = bytes_find_nocase(rest, name)) != BYTES_NONE) {
		bool begins = at > 0 &&
		              bytes_find_char(BYTES(" \t\r\n\"'/"), rest.ptr[at - 1]) != BYTES_NONE;

		value = bytes_trim(bytes_skip(rest, at + name.len));
		rest = bytes_skip(rest, at + name.len);
		if (!begins || value.len == 0 || value.ptr[0] != '=')
			continue;
		value = bytes_trim(bytes_skip(value, 1));
		if (value.len && (value.ptr[0] == '"' || value.ptr[0] == '\''))
			value = bytes_first(bytes_skip(value, 1),
			                    bytes_find_char(bytes_skip(value, 1), value.ptr[0]));
		else
			value = bytes_first(value, url_len(value));
		for (size_t i = 0; i < value.len; i++) {
			size_t taken = value.ptr[i] == '&' ? put_entity(&out, bytes_skip(value, i))
			                                   : 0;

			if (taken)
				i += taken - 1;
			else
				buf_append_char(&out, value.ptr[i]);
		}
		value = arena_copy(&c->arena, buf_bytes(&out));
		buf_done(&out);
		return value;
	}
	return (struct bytes){0};
}

static struct bytes tag_name(struct bytes tag)
{
	size_t len = 0;

	while (len < tag.len && (text_is_alnum(tag.ptr[len]) || (len == 0 && tag.ptr[len] == '/')))
		len++;
	return bytes_first(tag, len);
}

static bool is_one(struct bytes name, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (bytes_equal_nocase(name, bytes_of_text(list[i])))
			return true;
	}
	return false;
}

/* Those that do not part a word. */
static bool is_inline(struct bytes name)
{
	static const char *const list[] = {"a",    "b",    "i",     "u",   "em", "strong",
	                                   "span", "font", "small", "big", "s",  "wbr",
	                                   "sub",  "sup",  "abbr",  "code"};

	if (name.len && name.ptr[0] == '/')
		name = bytes_skip(name, 1);
	return is_one(name, list, sizeof(list) / sizeof(*list));
}

static void close_anchor(struct html *h)
{
	struct bytes text = bytes_skip(buf_bytes(&h->c->text), h->anchor);
	struct bytes shown = arena_copy(&h->c->arena, bytes_first(text, SHOWN_MAX + 1));

	if (h->href.len)
		content_link_note(h->c, h->href, shown);
	h->href = (struct bytes){0};
}

/* Up to the end of what is not seen. */
static void skip_element(struct html *h, const char *end)
{
	size_t at = bytes_find_nocase(h->rest, bytes_of_text(end));

	h->rest = bytes_skip(h->rest, at);
}

static void take_tag(struct html *h, struct bytes tag)
{
	struct content *c = h->c;
	struct bytes name = tag_name(tag), url;

	if (bytes_equal_nocase(name, BYTES("script")))
		skip_element(h, "</script");
	else if (bytes_equal_nocase(name, BYTES("style")))
		skip_element(h, "</style");
	else if (bytes_equal_nocase(name, BYTES("a"))) {
		close_anchor(h);
		h->href = attribute(c, tag, BYTES("href"));
		h->anchor = buf_len(&c->text);
	} else if (bytes_equal_nocase(name, BYTES("/a"))) {
		close_anchor(h);
	} else if (bytes_equal_nocase(name, BYTES("form")) ||
	           bytes_equal_nocase(name, BYTES("area"))) {
		url = attribute(c, tag,
		                bytes_equal_nocase(name, BYTES("form")) ? BYTES("action")
		                                                        : BYTES("href"));
		content_link_note(c, url, (struct bytes){0});
	}
	if (!is_inline(name) && name.len)
		buf_append_char(&c->text, ' ');
}

/* At "<": a comment, a tag, or the character. */
static void take_angle(struct html *h)
{
	size_t end;

	if (bytes_starts(h->rest, BYTES("<!--"))) {
		end = bytes_find(h->rest, BYTES("-->"));
		h->rest = bytes_skip(h->rest, end == BYTES_NONE ? h->rest.len : end + 3);
		return;
	}
	end = bytes_find_char(bytes_first(h->rest, TAG_MAX), '>');
	if (end == BYTES_NONE || h->rest.len < 2 ||
	    (!text_is_alpha(h->rest.ptr[1]) && h->rest.ptr[1] != '/' && h->rest.ptr[1] != '!')) {
		buf_append_char(&h->c->text, '<');
		h->rest = bytes_skip(h->rest, 1);
		return;
	}
	struct bytes tag = bytes_first(bytes_skip(h->rest, 1), end - 1);
	h->rest = bytes_skip(h->rest, end + 1);
	take_tag(h, tag);
}

void content_text_html(struct content *c, struct bytes html)
{
	struct html h = {.c = c, .rest = html};
	size_t from = buf_len(&c->text), links = c->seen.links;
	struct bytes seen;

	while (h.rest.len && buf_len(&c->text) < TEXT_MAX) {
		size_t taken = 0;

		if (h.rest.ptr[0] == '<') {
			take_angle(&h);
			continue;
		}
		if (h.rest.ptr[0] == '&')
			taken = put_entity(&c->text, h.rest);
		if (taken == 0) {
			buf_append_char(&c->text, h.rest.ptr[0]);
			taken = 1;
		}
		h.rest = bytes_skip(h.rest, taken);
	}
	close_anchor(&h);
	/* A link that is only text is a link to most mail programs. */
	seen = arena_copy(&c->arena, bytes_skip(buf_bytes(&c->text), from));
	if (c->seen.links == links) {
		buf_truncate(&c->text, from);
		content_text_plain(c, seen);
	}
}
