/* The words of incidents, one row a kind. Private to watch/. */
#ifndef WATCH_TEXTS_H
#define WATCH_TEXTS_H

/* A template. {name} is the value of a fact, or of key, number, dir, provider_name, link, site, mail (the
 * last four from policy/provider.h). [text] is left out unless every value in it is there;
 * [!name text] unless that one is missing; [name=value text] unless it is that. Brackets nest. */
struct incident_words {
	const char *title, *cause, *cost, *what_to_do, *request;
};

struct incident_text_row {
	const char *name; /* "blocked" */
	struct incident_words english, japanese;
};

/* By kind; row 0 is for kinds that are not known. */
extern const struct incident_text_row incident_text_rows[];

#endif
