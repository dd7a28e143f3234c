/* What a peer can make large is checked against these before anything is allocated. What an
 * operator may change is an option (config/options.c) whose range ends here. */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

enum {
	LIMIT_MESSAGE = 64 * 1024,  /* one message on a channel, header included */
	LIMIT_CHUNK = 32 * 1024,    /* bytes in one SPOOL */
	LIMIT_READ = 56 * 1024,     /* bytes in one answer to READ */
	LIMIT_LIST = 56 * 1024,     /* packed rows, ranges or names in one ask or answer */
	LIMIT_SPOOL_WINDOW = 4,     /* SPOOL chunks not yet answered, per session */
	LIMIT_ASKS_SESSION = 32,    /* open asks of one engine */
	LIMIT_ASKS_CHANNEL = 64,    /* open asks of one channel */
	LIMIT_ADDRESS = 320,        /* an address: 64 + 1 + 255 (RFC 5321, 4.5.3.1) */
	LIMIT_DOMAIN = 255,         /* RFC 1035, 2.3.4 */
	LIMIT_LOCAL_PART = 64,      /* RFC 5321, 4.5.3.1.1 */
	LIMIT_ENVELOPE = 36 * 1024, /* packed recipients of one mail */
	LIMIT_SUMMARY = 20 * 1024,  /* encoded summary of one mail */
	LIMIT_TRACE = 7 *
	              1024, /* the Return-Path, Received and DKIM-Signature fields that we add */
	LIMIT_MESSAGE_ID = 400,      /* octets of a Message-ID that are kept for looking it up */
	LIMIT_HEADER = 256 * 1024,   /* the header of a mail that is submitted */
	LIMIT_SMTP_LINE = 2048,      /* a command line (RFC 5321 says 512; extensions add to it) */
	LIMIT_IMAP_LINE = 64 * 1024, /* a command without its literals */
	LIMIT_MIME_DEPTH = 64,       /* nested multiparts and messages */
	LIMIT_MIME_PARTS = 10000,    /* parts of one mail */
	LIMIT_HEADER_FIELD = 64 * 1024, /* one field, folded lines included, that we look into */
	LIMIT_MAILBOX_NAME = 1024,      /* UTF-8 octets */
	LIMIT_KEYWORDS = 56,            /* flag names per mailbox besides the system ones */
	LIMIT_PASSWORD = 1024,          /* octets after preparation */
	LIMIT_USER = LIMIT_ADDRESS,
};

#endif
