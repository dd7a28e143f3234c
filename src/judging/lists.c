/* Block and allow lists: of addresses as soon as the client is known, of domains once the mail has shown where it leads. */
#include "judging/inside.h"

struct listed {
	bool known;
	struct dnsbl_verdict verdict;
};

/* The domains that lists of domains are asked about: who sends, and where the mail's links lead. */
static void gather_domains(struct judging *j)
{
	const struct content_seen *seen = content_seen(j->content);
	struct bytes sender = checks_domain(j->sender);

	if (j->domains)
		return;
	j->domains = arena_get(&j->arena, (seen->host_count + 2) * sizeof(*j->domains));
	if (sender.len > 0)
		j->domains[j->domain_count++] = sender;
	if (seen->from_domain.len > 0)
		j->domains[j->domain_count++] = seen->from_domain;
	for (size_t i = 0; i < seen->host_count; i++)
		j->domains[j->domain_count++] = seen->hosts[i];
}

static bool run_list(struct judging *j, size_t nth)
{
	const struct dnsbl_list *list = &j->options->lists[nth];
	struct listed *l = &j->lists[nth];

	struct arena attempt = {0}; /* as in checks.c */

	if (!l->known)
		l->known = dnsbl_is_of_ip(list)
		                   ? dnsbl_check_ip(list, &j->ip, j->facts, &attempt, &l->verdict)
		                   : dnsbl_check_domains(list, j->domains, j->domain_count,
		                                         j->facts, &attempt, &l->verdict);
	if (attempt.total > 0 && l->known) {
		l->verdict.subject = arena_copy(&j->arena, l->verdict.subject);
		l->verdict.codes = arena_copy(&j->arena, l->verdict.codes);
		l->verdict.text = arena_copy(&j->arena, l->verdict.text);
	}
	arena_done(&attempt);
	return l->known;
}

bool lists_run(struct judging *j, bool whole)
{
	bool all = true;

	if (whole)
		gather_domains(j);
	if (!j->lists)
		j->lists = arena_get(&j->arena, (j->options->list_count + 1) * sizeof(*j->lists));
	for (size_t i = 0; i < j->options->list_count; i++) {
		if (whole || dnsbl_is_of_ip(&j->options->lists[i]))
			all &= run_list(j, i);
	}
	return all;
}

void lists_weigh(struct judging *j)
{
	for (size_t i = 0; i < j->options->list_count; i++) {
		struct evidence e;

		dnsbl_evidence(&j->options->lists[i], &j->lists[i].verdict, &j->arena, &e);
		checks_add(j, &e);
	}
}
