# Thin: what is done stands in tools/ and bench/.
#
#	make                  build/hikyaku
#	make run              try it: a server on 127.0.0.1 with two accounts and two mails (var/try)
#	make test             every test; ends with "N passed, N failed, N skipped"
#	make fuzz SECONDS=n   fuzz every engine and parser for n seconds in all (60)
#	make bench            against Postfix and Dovecot
#	make install          into PREFIX (/usr/local)
.PHONY: all run test fuzz bench install format docs clean
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

format:
	@tools/format

docs:
	@tools/asks && tools/rfc && tools/roles && tools/floors --draw

clean:
	rm -rf build build-test build-fuzz
