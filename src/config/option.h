/* The table of options and their values. Private to config/. */
#ifndef CONFIG_OPTION_H
#define CONFIG_OPTION_H

#include "base/wire.h"
#include "config/config.h"

/* All fields get their defaults. */
void option_defaults(struct config *c);

/* The option of this section and key, or BYTES_NONE. */
size_t option_find(struct bytes section, struct bytes key);

/* Is there such a section? */
bool option_section_known(struct bytes section);

/* The nearest key of the section (or section, when key lookup is for one) for "did you mean", or
 * NULL. */
const char *option_nearest_key(struct bytes section, struct bytes key);
const char *option_nearest_section(struct bytes section);

/* Sets the option from words; a list is added to when `more`. The reason says what is accepted,
 * without file and line. */
enum result option_set(struct config *c, size_t nth, const struct bytes *values, size_t count,
                       bool more, struct why *why) MUST_USE;

bool option_is_list(size_t nth);

/* "5", "4.5", "12.25": hundredths. False: it is none. */
bool option_points_parse(struct bytes word, uint64_t *ret);

void option_encode(const struct config *c, size_t nth, struct buf *out);
void option_decode(struct config *c, size_t nth, struct wire *w); /* w->bad when out of range */

/* "10.0.0.0/8 ..." for listeners too. Appends to *list. */
enum result option_ips_add(struct config_ips *list, struct bytes word, struct arena *arena,
                           struct why *why) MUST_USE;
enum result option_prefixes_add(struct config_prefixes *list, struct bytes word,
                                struct arena *arena, struct why *why) MUST_USE;

/* Lists of fixed-size values on the wire. */
void option_ips_encode(const struct config_ips *list, struct buf *out);
void option_ips_decode(struct config_ips *list, struct wire *w, struct arena *arena);
void option_prefixes_encode(const struct config_prefixes *list, struct buf *out);
void option_prefixes_decode(struct config_prefixes *list, struct wire *w, struct arena *arena);

#endif
