# Thin: what is done stands in tools/ and bench/.
#
#	make                  build/hikyaku
#	make run              try it: a server on 127.0.0.1 with two accounts and two mails (var/try)
#	make test             every test; ends with "N passed, N failed, N skipped"
#	make fuzz SECONDS=n   fuzz every engine and parser for n seconds in all (60)
#	make bench            against Postfix and Dovecot
#	make install          into PREFIX (/usr/local)
#	make install-sendmail /usr/sbin/sendmail, mailq and newaliases as links to it, where no other mail server has them
.PHONY: all run test fuzz bench install install-sendmail format docs clean
PREFIX ?= /usr/local
SECONDS ?= 60

all:
	@tools/build

run:
	@tools/run

test:
	@tools/test

fuzz:
	@tools/fuzz $(SECONDS)

bench:
	@bench/run

install: all
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 build/hikyaku $(DESTDIR)$(PREFIX)/bin/hikyaku
	install -d $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 man/hikyaku.1 $(DESTDIR)$(PREFIX)/share/man/man1/hikyaku.1
	install -d $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 644 man/sendmail.8 $(DESTDIR)$(PREFIX)/share/man/man8/hikyaku-sendmail.8

install-sendmail: install
	@tools/sendmail-links "$(DESTDIR)" "$(PREFIX)/bin/hikyaku"

format:
	@tools/format

docs:
	@tools/asks && tools/reasons && tools/rfc && tools/roles && tools/replies && tools/floors --draw

clean:
	rm -rf build build-test build-fuzz
