/* Replies are judged for what they are: each row by its own example (so that no row is hidden by one
 * above it), and real replies in both dangerous directions. */
#include "../test.h"

#include "policy/provider.h"
#include "policy/reply.h"

struct example {
	const char *name, *provider, *text, *source, *words;
	enum reply_class class;
};

static const struct example examples[] = {
#define REPLY(name, class, provider, code, status, text, link, seconds, source, example) \
	{name, provider, example, source, text, REPLY_##class},
#include "policy/replies.def"
#undef REPLY
};
enum { EXAMPLES = sizeof(examples) / sizeof(examples[0]) };

/* The first MX suffix of the first provider that a row names. */
static struct bytes host_of(const char *providers)
{
	struct bytes rest = bytes_of_text(providers), key, hosts, host = BYTES("mx.example.net");

	if (!bytes_cut(&rest, '|', &key))
		return host;
	const struct provider *p = provider_find(key);
	if (!p)
		fail_msg("no provider %.*s", BYTES_ARG(key));
	hosts = bytes_of_text(p->hosts);
	bytes_cut(&hosts, ' ', &host);
	return host;
}

static struct reply_judgement judge(const char *line, struct bytes host, enum reply_stage stage)
{
	struct reply_facts f = {.host = host, .stage = stage, .own_sender = true, .tries = 5};
	static const struct ip source = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7}};
	struct reply_judgement j;

	assert_true(reply_parse(bytes_of_text(line), &f));
	f.source = &source;
	reply_judge(&f, &j);
	return j;
}

static void every_row_fits_its_example(void **state)
{
	unsigned wrong = 0;

	for (size_t i = 0; i < EXAMPLES; i++) {
		struct reply_judgement j = judge(examples[i].text, host_of(examples[i].provider),
		                                 REPLY_AT_RCPT);
		if (strcmp(j.row, examples[i].name) != 0 || j.class != examples[i].class) {
			print_error("%s: judged by %s as %s\n  %s\n", examples[i].name, j.row,
			            reply_class_name(j.class), examples[i].text);
			wrong++;
		}
		assert_true(strlen(examples[i].source) > 0);
		for (const char *c = examples[i].words; *c; c++)
			assert_false(*c >= 'A' && *c <= 'Z');
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(examples[i].name, examples[k].name);
	}
	assert_int_equal(wrong, 0);
}

struct real {
	const char *host, *line;
	enum reply_class class;
	enum carry_outcome outcome;
};

static void check(const struct real *table, size_t count)
{
	unsigned wrong = 0;

	for (size_t i = 0; i < count; i++) {
		struct reply_judgement j = judge(table[i].line, bytes_of_text(table[i].host),
		                                 REPLY_AT_RCPT);
		if (j.class != table[i].class || j.outcome != table[i].outcome) {
			print_error("%s: %s by %s, outcome %d\n", table[i].line,
			            reply_class_name(j.class), j.row, j.outcome);
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}
#define CHECK(table) check(table, sizeof(table) / sizeof(table[0]))

/* A block that is taken for a bad mailbox loses mail. */
static void blocks_are_held(void **state)
{
	static const struct real table[] = {
	        {"mx01.mail.icloud.com",
	         "550 5.7.0 Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.7",
	         REPLY_OURS_ADDRESS, CARRY_HELD},
	        {"mx0a-00abc.pphosted.com",
	         "554 Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.7",
	         REPLY_OURS_ADDRESS, CARRY_HELD},
	        {"outlook-com.olc.protection.outlook.com",
	         "550 5.7.1 Unfortunately, messages from [192.0.2.7] weren't sent. Please contact "
	         "your "
	         "Internet service provider since part of their network is on our block list "
	         "(S3140). "
	         "You can also refer your provider to "
	         "http://mail.live.com/mail/troubleshooting.aspx#errors.",
	         REPLY_OURS_ADDRESS, CARRY_HELD},
	        {"example.mail.protection.outlook.com",
	         "550 5.7.606 Access denied, banned sending IP [192.0.2.7]", REPLY_OURS_ADDRESS,
	         CARRY_HELD},
	        {"gmail-smtp-in.l.google.com",
	         "550-5.7.1 [192.0.2.7 19] Our system has detected that this message is 550-5.7.1 "
	         "likely "
	         "suspicious due to the very low reputation of the sending IP 550-5.7.1 address. "
	         "To best "
	         "protect our users from spam, the message has been 550-5.7.1 blocked. Please "
	         "visit "
	         "550 5.7.1 https://support.google.com/mail/answer/188131",
	         REPLY_OURS_ADDRESS, CARRY_HELD},
	        {"mta5.am0.yahoodns.net",
	         "421 4.7.0 [TSS04] Messages from 192.0.2.7 temporarily deferred due to unexpected "
	         "volume or user complaints - 4.16.55.1",
	         REPLY_OURS_ADDRESS, CARRY_HELD},
	        {"mta5.am0.yahoodns.net",
	         "553 5.7.1 [TSS09] All messages from 192.0.2.7 will be permanently deferred; "
	         "Retrying "
	         "will NOT succeed.",
	         REPLY_OURS_ADDRESS, CARRY_HELD},
	        {"mfsmax.docomo.ne.jp", "421 Service not available, closing transmission channel",
	         REPLY_OURS_ADDRESS, CARRY_HELD},
	        {"mx.au.com", "421 Service not available, closing transmission channel",
	         REPLY_OURS_ADDRESS, CARRY_HELD},
	        {"mx.example.co.jp",
	         "554 5.7.1 Service unavailable; Client host [192.0.2.7] blocked using "
	         "zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.7",
	         REPLY_OURS_ADDRESS, CARRY_HELD},
	        {"mx.example.co.jp",
	         "550 5.1.1 <ken@example.co.jp>... 192.0.2.7 is listed at bl.spamcop.net",
	         REPLY_OURS_ADDRESS, CARRY_HELD},
	        {"mx.example.co.jp", "553 192.0.2.7 refused here", REPLY_OURS_ADDRESS, CARRY_HELD},
	        {"mx.example.co.jp",
	         "550 5.7.1 <ken@example.co.jp>: Client host rejected: cannot find your reverse "
	         "hostname, [192.0.2.7]",
	         REPLY_OURS_ADDRESS, CARRY_HELD},
	        {"mx.example.co.jp",
	         "550 rejected because 192.0.2.7 is in a black list at dnsbl.example",
	         REPLY_OURS_ADDRESS, CARRY_HELD},
	        {"mx00.gmx.net",
	         "554-gmx.net (mxgmx106) Nemesis ESMTP Service not available 554-No SMTP service "
	         "554-IP address is black listed. 554 For explanation visit "
	         "https://postmaster.gmx.net/en/error-messages?ip=192.0.2.7&c=bip",
	         REPLY_OURS_ADDRESS, CARRY_HELD},
	        {"outlook-com.olc.protection.outlook.com",
	         "550 5.7.1 Service unavailable, Client host [192.0.2.9] blocked using Spamhaus.",
	         REPLY_OURS_ADDRESS, CARRY_HELD},
	        {"mx.example.co.jp",
	         "554 5.7.1 Your access to submit messages to this e-mail system has been "
	         "rejected.",
	         REPLY_OURS_ADDRESS, CARRY_HELD},
	        {"smtp-in.orange.fr",
	         "550 5.2.0 Mail rejete. Mail rejected. 192.0.2.7 OFR006_102 Client host blocked "
	         "for "
	         "spamming issues",
	         REPLY_OURS_ADDRESS, CARRY_HELD},
	};
	CHECK(table);
}

/* A bad mailbox that is taken for a block is kept although it should have gone back. */
static void bad_mailboxes_go_back(void **state)
{
	static const struct real table[] = {
	        {"gmail-smtp-in.l.google.com",
	         "550-5.1.1 The email account that you tried to reach does not exist. Please try "
	         "550-5.1.1 double-checking the recipient's email address for typos or 550-5.1.1 "
	         "unnecessary spaces. Learn more at 550 5.1.1 "
	         "https://support.google.com/mail/?p=NoSuchUser e22 - gsmtp",
	         REPLY_MAILBOX, CARRY_FAILED},
	        {"mfsmax.docomo.ne.jp", "550 Unknown user ken@docomo.ne.jp", REPLY_MAILBOX,
	         CARRY_FAILED},
	        {"mx.au.com", "550 <ken@au.com>: User unknown", REPLY_MAILBOX, CARRY_FAILED},
	        {"mx.softbank.ne.jp", "550 Invalid recipient: <ken@softbank.ne.jp>", REPLY_MAILBOX,
	         CARRY_FAILED},
	        {"mx01.mail.icloud.com", "550 5.1.1 <ken@icloud.com>: user does not exist",
	         REPLY_MAILBOX, CARRY_FAILED},
	        {"outlook-com.olc.protection.outlook.com",
	         "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302).",
	         REPLY_MAILBOX, CARRY_FAILED},
	        {"mx.example.net", "550 5.1.1 <ken@example.net>... User unknown", REPLY_MAILBOX,
	         CARRY_FAILED},
	        {"mx.example.net",
	         "550 5.1.1 <blocked.list@example.net>: Recipient address rejected: User unknown "
	         "in "
	         "virtual mailbox table",
	         REPLY_MAILBOX, CARRY_FAILED},
	        {"mx.example.net", "550 sorry, no mailbox here by that name. (#5.1.1)",
	         REPLY_MAILBOX, CARRY_FAILED},
	        {"mx.example.net",
	         "550 No such recipient: the recipient has blocked nobody, it is gone",
	         REPLY_MAILBOX, CARRY_FAILED},
	        {"mx.example.net", "550", REPLY_MAILBOX, CARRY_FAILED},
	        {"mx.example.net", "552 5.2.2 Mailbox full", REPLY_MAILBOX_FULL, CARRY_FAILED},
	        {"mx.example.net", "452 4.2.2 Over quota", REPLY_MAILBOX_FULL, CARRY_DEFERRED},
	        {"mx.example.net", "554 5.7.1 <ken@example.net>: Relay access denied", REPLY_DOMAIN,
	         CARRY_FAILED},
	        {"mx.example.net", "556 5.1.10 Domain has null MX", REPLY_DOMAIN, CARRY_FAILED},
	};
	CHECK(table);
}

static void the_rest_is_told_apart(void **state)
{
	static const struct real table[] = {
	        {"mx.example.net",
	         "450 4.2.0 <ken@example.net>: Recipient address rejected: Greylisted",
	         REPLY_GREYLIST, CARRY_DEFERRED},
	        {"mx3.qq.com", "550 Connection frequency limited", REPLY_RATE, CARRY_DEFERRED},
	        {"mx.example.net", "421 4.7.0 Too many connections", REPLY_RATE, CARRY_DEFERRED},
	        {"mx.example.net", "554 5.7.1 Message rejected as spam", REPLY_MAIL, CARRY_FAILED},
	        {"mx.example.net", "552 5.3.4 Message too large", REPLY_MAIL, CARRY_FAILED},
	        {"gmail-smtp-in.l.google.com",
	         "550-5.7.26 Unauthenticated email from example.test is not accepted due to "
	         "550-5.7.26 domain's DMARC policy.",
	         REPLY_OURS_DOMAIN, CARRY_DEFERRED},
	        {"mx.example.net", "451 4.3.0 Something broke", REPLY_TEMPORARY, CARRY_DEFERRED},
	        {"mx.example.net", "500 what", REPLY_PROTOCOL, CARRY_FAILED},
	        {"mx.example.net", "250 2.1.5 Ok", REPLY_OK, CARRY_DELIVERED},
	        {"mx.example.net",
	         "554 5.7.1 [P4] Message blocked due to spam content in the message.", REPLY_MAIL,
	         CARRY_FAILED},
	        {"mx.example.net",
	         "550 rejected because of policy: mail from this country is not taken",
	         REPLY_PERMANENT, CARRY_FAILED},
	        {"a.mail.protection.outlook.com",
	         "550 5.7.64 TenantAttribution; Relay Access Denied", REPLY_DOMAIN, CARRY_FAILED},
	        {"mx.softbank.ne.jp", "450 4.1.1 <ken@softbank.ne.jp>: Recipient address rejected",
	         REPLY_MAILBOX, CARRY_DEFERRED},
	        {"mx.example.net", "550 5.7.1 You may not post to this list", REPLY_REFUSED,
	         CARRY_FAILED},
	};
	CHECK(table);
}

static void a_forwarded_mail_without_authentication_goes_back(void **state)
{
	struct reply_facts f = {
	        .code = 550, .status = BYTES("5.7.26"), .text = BYTES("unauthenticated")};
	struct reply_judgement j;

	reply_judge(&f, &j);
	assert_int_equal(j.class, REPLY_OURS_DOMAIN);
	assert_int_equal(j.outcome, CARRY_FAILED);
}

static void the_first_doubt_in_general_words_only_waits(void **state)
{
	struct reply_facts f = {.code = 450,
	                        .status = BYTES("4.7.1"),
	                        .text = BYTES("Client host rejected: cannot find your hostname"),
	                        .stage = REPLY_AT_RCPT};
	struct reply_judgement j;

	reply_judge(&f, &j);
	assert_int_equal(j.outcome, CARRY_DEFERRED);
	f.tries = 2;
	reply_judge(&f, &j);
	assert_int_equal(j.class, REPLY_OURS_ADDRESS);
	assert_int_equal(j.outcome, CARRY_HELD);
}

static void greetings_and_silence_are_about_the_host(void **state)
{
	struct reply_facts f = {.host = BYTES("mx.example.net")};
	struct reply_judgement j;

	reply_judge(&f, &j);
	assert_int_equal(j.class, REPLY_NETWORK);
	assert_int_equal(j.scope, CARRIED_DESTINATION);
	j = judge("554 go away", BYTES("mx.example.net"), REPLY_AT_CONNECT);
	assert_int_equal(j.outcome, CARRY_DEFERRED);
	assert_int_equal(j.scope, CARRIED_DESTINATION);
	j = judge("421 4.3.2 shutting down", BYTES("mx.example.net"), REPLY_AT_RCPT);
	assert_int_equal(j.scope, CARRIED_DESTINATION);
	j = judge("521 takes no mail", BYTES("mx.example.net"), REPLY_AT_CONNECT);
	assert_int_equal(j.class, REPLY_DOMAIN);
	assert_int_equal(j.outcome, CARRY_FAILED);
	f.code = 354;
	reply_judge(&f, &j);
	assert_int_equal(j.class, REPLY_PROTOCOL);
	assert_int_equal(j.outcome, CARRY_DEFERRED);
}

static void hints_are_found(void **state)
{
	struct reply_judgement j = judge("550 5.7.0 Blocked - see https://x.example/?ip=192.0.2.7.",
	                                 BYTES("mx.example.net"), REPLY_AT_RCPT);

	assert_bytes(j.link, BYTES("https://x.example/?ip=192.0.2.7"));
	assert_bytes(j.provider, BYTES("example.net"));
	assert_bytes(j.status, BYTES("5.7.0"));
	j = judge("450 4.2.0 Greylisted, try again in 7 minutes", BYTES("a.b"), REPLY_AT_RCPT);
	assert_int_equal(j.retry_after, 420);
	j = judge("450 4.2.0 Greylisted for 240 seconds", BYTES("a.b"), REPLY_AT_RCPT);
	assert_int_equal(j.retry_after, 240);
	j = judge("450 4.2.0 Greylisted", BYTES("a.b"), REPLY_AT_RCPT);
	assert_int_equal(j.retry_after, 300);
	j = judge("450 2.0.0 contradiction", BYTES("a.b"), REPLY_AT_RCPT);
	assert_bytes(j.status, BYTES("4.0.0"));
}

static void replies_are_found_in_text(void **state)
{
	static const struct {
		const char *line, *status;
		unsigned code;
	} table[] = {
	        {"550 5.1.1 no", "5.1.1", 550},
	        {"smtp; 550-5.7.1 no", "5.7.1", 550},
	        {"host mx.example[192.0.2.1] said: 450 4.7.1 <a@b>: wait (in reply to RCPT)",
	         "4.7.1", 450},
	        {"smtp; 5.1.0 - Unknown address error 550-'5.2.2 <a@b>... Mailbox Full'", "5.2.2",
	         550},
	        {"5.1.2 no such domain", "5.1.2", 550},
	        {"550 #5.1.0 Address rejected.", "5.1.0", 550},
	        {"554 3f3.4.5 no", "", 554},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct reply_facts f = {0};
		assert_true(reply_parse(bytes_of_text(table[i].line), &f));
		assert_int_equal(f.code, table[i].code);
		assert_bytes(f.status, bytes_of_text(table[i].status));
	}
	struct reply_facts f = {0};
	assert_false(reply_parse(BYTES("connect to 192.0.2.50: timed out after 550s"), &f));
	assert_false(reply_parse(BYTES(""), &f));
	assert_false(reply_parse(BYTES("55"), &f));
}

static void the_address_that_a_host_saw_is_found(void **state)
{
	static const char *const table[][2] = {
	        {"550 5.7.0 Blocked - see https://ipcheck.proofpoint.com/?ip=203.0.113.9",
	         "203.0.113.9"},
	        {"421-4.7.28 [203.0.113.9      15] Our system", "203.0.113.9"},
	        {"421 4.7.0 [TSS04] Messages from 203.0.113.9 deferred - 4.16.55.1; see",
	         "203.0.113.9"},
	        {"554 5.7.1 Client host [2001:db8::9] blocked using", "2001:db8::9"},
	        {"550 blocked: 203.0.113.9.", "203.0.113.9"},
	        {"550 at 2026-11-23T22:59:45 by host v1.2.3.4 (S3140)", ""},
	        {"550 5.7.1 no", ""},
	        {"550 1.2.3.4.5 dead:beef 300.1.1.1", ""},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char text[IP_TEXT] = "";
		struct ip ip;

		if (reply_find_address(bytes_of_text(table[i][0]), &ip))
			ip_format(&ip, text);
		assert_string_equal(text, table[i][1]);
	}
}

static void providers_are_found_by_host(void **state)
{
	static const char *const table[][2] = {
	        {"alt1.gmail-smtp-in.l.google.com", "google"},
	        {"ASPMX.L.GOOGLE.COM.", "google"},
	        {"outlook-com.olc.protection.outlook.com", "outlook.com"},
	        {"example-test.mail.protection.outlook.com", "microsoft365"},
	        {"mx01.mail.icloud.com", "icloud"},
	        {"mx0b-0012.pphosted.com", "proofpoint"},
	        {"mfsmax.docomo.ne.jp", "docomo"},
	        {"mx.au.com", "au"},
	        {"notau.com", "notau.com"},
	        {"mx2.kumamoto.example.co.jp", "example.co.jp"},
	        {"mx.example.com.au", "example.com.au"},
	        {"a.b.c.example.org", "example.org"},
	        {"co.jp", "co.jp"},
	        {"localhost", "localhost"},
	        {"192.0.2.1", "192.0.2.1"},
	        {"[192.0.2.1]", "[192.0.2.1]"},
	        {"2001:db8::1", "2001:db8::1"},
	        {"ec2-192-0-2-1.compute.amazonaws.com", "ec2-192-0-2-1.compute.amazonaws.com"},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		assert_bytes(provider_key(bytes_of_text(table[i][0])), bytes_of_text(table[i][1]));
	assert_null(provider_find(BYTES("example.org")));
	assert_non_null(provider_find(BYTES("google")));
}

static void every_class_has_words(void **state)
{
	for (int c = 0; c < REPLY_CLASSES; c++) {
		assert_non_null(reply_class_name((enum reply_class)c));
		assert_true(strlen(reply_class_words((enum reply_class)c, false)) > 10);
		assert_true(strlen(reply_class_words((enum reply_class)c, true)) > 10);
		for (int d = 0; d < c; d++)
			assert_string_not_equal(reply_class_name((enum reply_class)c),
			                        reply_class_name((enum reply_class)d));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_row_fits_its_example),
	        cmocka_unit_test(blocks_are_held),
	        cmocka_unit_test(bad_mailboxes_go_back),
	        cmocka_unit_test(the_rest_is_told_apart),
	        cmocka_unit_test(a_forwarded_mail_without_authentication_goes_back),
	        cmocka_unit_test(the_first_doubt_in_general_words_only_waits),
	        cmocka_unit_test(greetings_and_silence_are_about_the_host),
	        cmocka_unit_test(hints_are_found),
	        cmocka_unit_test(replies_are_found_in_text),
	        cmocka_unit_test(the_address_that_a_host_saw_is_found),
	        cmocka_unit_test(providers_are_found_by_host),
	        cmocka_unit_test(every_class_has_words),
	};
	return TEST_MAIN(tests);
}
