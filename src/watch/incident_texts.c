/* Every incident in English and Japanese (watch/texts.h says how templates are read). For a person
 * who is called at night: what is wrong, how we know, what it costs, what it does not cost, and what
 * to type. */
#include "watch/incident.h"
#include "watch/texts.h"

#define REQUEST_TO_EN                                                                         \
	"[To: {mail}\n]"                                                                      \
	"Subject: Request to lift the block of [{address}][!address our server][ ({helo})]\n" \
	"\n"                                                                                  \
	"Dear postmaster,\n"                                                                  \
	"\n"                                                                                  \
	"your mail servers refuse mail from our server.\n"                                    \
	"\n"
#define REQUEST_TO_JA                                                                                                       \
	"[宛先: {mail}\n]"                                                                                                \
	"件名: [{address}][!address 当サーバー][ ({helo})] からのメール受信ブロック解除のお願い\n" \
	"\n"                                                                                                                \
	"メールシステムご担当者様\n"                                                                            \
	"\n"                                                                                                                \
	"突然のご連絡失礼いたします。当方のメールサーバーから貴社宛のメールが、\n"       \
	"貴社のサーバーに拒否されております。\n"                                                          \
	"\n"

#define OWN_ADDRESS_EN                                                                      \
	"To: {key}\n"                                                                       \
	"Subject: Your mail program sends through another server\n"                         \
	"\n"                                                                                \
	"Hello,\n"                                                                          \
	"\n"                                                                                \
	"[on {time} ]a mail of yours did not come through our server[, but from {name}].\n" \
	"Your mail program has most likely lost its setting for sending.\n"                 \
	"Please open its account settings and set the outgoing (SMTP) server again:\n"      \
	"our server's name, port 465 with SSL/TLS or 587 with STARTTLS, your address and\n" \
	"your password. Until then some of your mail may be refused by others.\n"
#define OWN_ADDRESS_JA                                                                                                       \
	"宛先: {key}\n"                                                                                                    \
	"件名: メールソフトが別のサーバーから送信しています\n"                                       \
	"\n"                                                                                                                 \
	"[{time} に]お送りいただいたメールが、当サーバーを通らず[ {name} から]届きました。\n" \
	"メールソフトの送信サーバーの設定が失われている可能性があります。\n"                 \
	"お手数ですが、アカウント設定で送信 (SMTP) サーバーを設定し直してください。\n"      \
	"サーバー名は当サーバー、ポートは 465 (SSL/TLS) または 587 (STARTTLS)、\n"                       \
	"ユーザー名とパスワードはメールアドレスとそのパスワードです。\n"                       \
	"それまでは、送ったメールが相手先に拒否されることがあります。\n"

#define SENDERS_EN                                                                           \
	"To: postmaster of {network}\n"                                                      \
	"Subject: Reverse DNS of your mail hosts\n"                                          \
	"\n"                                                                                 \
	"Dear postmaster,\n"                                                                 \
	"\n"                                                                                 \
	"the reverse DNS of your mail hosts does not lead back to them[, for example {ip}[ " \
	"({name})]].\n"                                                                      \
	"Many servers refuse mail from such hosts. Please give each address a PTR record,\n" \
	"and its name an A or AAAA record with the same address.\n"
#define SENDERS_JA                                                                                                               \
	"宛先: {network} の postmaster\n"                                                                                     \
	"件名: メール送信ホストの逆引き設定について\n"                                                       \
	"\n"                                                                                                                     \
	"メールシステムご担当者様\n"                                                                                 \
	"\n"                                                                                                                     \
	"貴社のメール送信ホストの逆引き名が、元のアドレスに戻りません[ (例: {ip}[ {name}])]。\n" \
	"このようなホストからのメールを拒否するサーバーは多くあります。\n"                        \
	"各アドレスに PTR レコードを、その名前に同じアドレスの A または AAAA レコードを\n"       \
	"設定していただけますよう、お願いいたします。\n"

const struct incident_text_row incident_text_rows[INCIDENT_KINDS] = {
        [INCIDENT_NONE] =
                {"unknown",
                 {
                         .title = "Something is wrong: {key}",
                         .cause = "An incident of a kind that this program does not know.",
                         .cost = "Not known.",
                         .what_to_do = "hikyaku -C {dir} incidents show {number}",
                 },
                 {
                         .title = "異常があります: {key}",
                         .cause = "このプログラムが知らない種類のインシデントです。",
                         .cost = "不明です。",
                         .what_to_do = "hikyaku -C {dir} incidents show {number}",
                 }},
        [INCIDENT_BLOCKED] =
                {"blocked",
                 {
                         .title = "{provider_name} refuses mail from our address[ {address}]",
                         .cause = "{provider_name} answered that it takes no mail from our "
                                  "address[ {address}], whoever it is for.[ That was at {time}.]"
                                  "[ The host: {host}.][ Its answer:\n    {reply}]"
                                  "[\nThe mail was for {rcpt_domain}.]"
                                  "[\nBehind the same filter: {domains}.]",
                         .cost = "Mail to these domains waits here[: {held} so far]. None of it is "
                                 "sent "
                                 "back, none is lost, and it does not grow too old while it waits. "
                                 "All "
                                 "other mail goes on. One mail is tried from time to time; when "
                                 "the block ends, all of it goes out by itself.",
                         .what_to_do =
                                 "1. Find out why: has somebody sent spam through this server? "
                                 "hikyaku -C {dir} sending shows who sent how much.\n"
                                 "2. Check what others see of this server (PTR, SPF, DKIM): "
                                 "hikyaku -C {dir} dns [!domain DOMAIN][{domain}]\n"
                                 "[3. Ask to be let in again: {link}\n]"
                                 "[!link 3. Ask the provider's postmaster to be let in again.\n]"
                                 "   A letter that you can send is below.[ Its page for senders: "
                                 "{site}]\n"
                                 "4. See what waits: hikyaku -C {dir} queue list "
                                 "incident:{number}\n"
                                 "5. To try at once: hikyaku -C {dir} queue retry "
                                 "incident:{number}\n"
                                 "   Mail that cannot wait may take another way: hikyaku -C {dir} "
                                 "queue "
                                 "redirect ID ADDRESS",
                         .request = REQUEST_TO_EN
                         "[  Our address:   {address}\n]"
                         "[  Our name:      {helo}\n]"
                         "[  Your host:     {host}\n]"
                         "[  Time:          {time}\n]"
                         "[  Your reply:    {reply}\n]"
                         "[  Reference:     {link}\n]"
                         "\n"
                         "Our server carries the ordinary mail of people. We have checked it for "
                         "misuse,\n"
                         "and its PTR, SPF, DKIM and DMARC records are in place.\n"
                         "\n"
                         "Would you please lift the block, or tell us what we have to mend?\n"
                         "\n"
                         "Thank you,\n"
                         "postmaster[ of {helo}]\n",
                 },
                 {
                         .title = "{provider_name} が当サーバー[ ({address}) "
                                  "]からのメールを拒否しています",
                         .cause = "{provider_name} が、宛先にかかわらず当サーバーのアドレス[ "
                                  "{address} ]"
                                  "からのメールを受け取らないと応答しました。[\n日時: {time}]"
                                  "[\n応答したホスト: {host}][\n応答: {reply}]"
                                  "[\n宛先のドメインの例: {rcpt_domain}]"
                                  "[\n同じフィルターの背後にあるドメイン: {domains}]",
                         .cost = "これらのドメイン宛のメールはここで待っています[ (現在 {held} "
                                 "通)]。"
                                 "差出人に返送されることも、失われることも、待つ間に期限切れになる"
                                 "ことも"
                                 "ありません。他のメールには影響ありません。ときどき 1 通だけ試し、"
                                 "ブロックが解除されれば自動的にすべて送信します。",
                         .what_to_do =
                                 "1. 原因を調べる: このサーバーから迷惑メールが送られていないか。"
                                 "hikyaku -C {dir} sending で誰がどれだけ送ったか分かります。\n"
                                 "2. 外から見た設定 (PTR、SPF、DKIM) を確認する: "
                                 "hikyaku -C {dir} dns [!domain DOMAIN][{domain}]\n"
                                 "[3. 解除を申請する: {link}\n]"
                                 "[!link 3. 先方の postmaster に解除を依頼する。\n]"
                                 "   依頼文は下にあります。[送信者向けページ: {site}]\n"
                                 "4. 待っているメールを見る: hikyaku -C {dir} queue list "
                                 "incident:{number}\n"
                                 "5. すぐに試す: hikyaku -C {dir} queue retry incident:{number}\n"
                                 "   急ぐメールは別の宛先に回せます: hikyaku -C {dir} queue "
                                 "redirect "
                                 "ID "
                                 "ADDRESS",
                         .request = REQUEST_TO_JA
                         "[  当方の IP アドレス: {address}\n]"
                         "[  当方のホスト名: {helo}\n]"
                         "[  貴社のホスト: {host}\n]"
                         "[  日時: {time}\n]"
                         "[  貴社サーバーの応答: {reply}\n]"
                         "[  参照: {link}\n]"
                         "\n"
                         "当サーバーは通常の個人および業務のメールを扱うものです。不正利用がないこ"
                         "と、\n"
                         "また PTR、SPF、DKIM、DMARC "
                         "が正しく設定されていることを確認いたしました。\n"
                         "\n"
                         "お手数ですが、ブロックの解除、または改善すべき点のご教示をお願い\n"
                         "申し上げます。\n"
                         "\n"
                         "postmaster[ ({helo})]\n",
                 }},
        [INCIDENT_NETWORK] =
                {"network",
                 {
                         .title = "[state=closed Outbound port 25 is closed][state=partly Outbound "
                                  "port "
                                  "25 is throttled][!state Outbound port 25 does not work][ for "
                                  "{address}]",
                         .cause = "Connections to mail servers that have nothing to do with each "
                                  "other "
                                  "time out[ ({silent} networks are silent, {answered} "
                                  "answered)]. No single host does that; it is the network that "
                                  "this "
                                  "server stands in. Cloud providers throttle or close port 25.",
                         .cost = "[Mail goes out through the route {route} until this ends; "
                                 "nothing is "
                                 "late.][!route Mail to other servers waits here; none is sent "
                                 "back "
                                 "because of this.][ {held} mails wait.] Mail between our own "
                                 "accounts, "
                                 "and mail coming in, go on.",
                         .what_to_do = "1. Ask the provider of this machine to open outbound port "
                                       "25 (most "
                                       "have a form for it).\n"
                                       "[!route 2. Until then name a smarthost: a `route` section "
                                       "with its "
                                       "host, and `fallback-route` in section `carry` of "
                                       "etc/hikyaku.conf; then hikyaku -C {dir} reload\n]"
                                       "3. To see what waits: hikyaku -C {dir} queue list",
                 },
                 {
                         .title = "[state=closed 外向きの 25 番ポートが閉じられています]"
                                  "[state=partly 外向きの 25 番ポートが制限されています]"
                                  "[!state 外向きの 25 番ポートが使えません][ ({address})]",
                         .cause = "互いに無関係なメールサーバーへの接続が時間切れになっています"
                                  "[ (応答なし {silent}、応答あり {answered} ネットワーク)]。"
                                  "特定の相手ではなく、このサーバーが置かれたネットワークの問題です"
                                  "。"
                                  "クラウド事業者は 25 番ポートを制限することがあります。",
                         .cost = "[経路 {route} が代わりに送信しており、遅れはありません。]"
                                 "[!route "
                                 "外部宛のメールはここで待ちます。これを理由に返送されることは"
                                 "ありません。][待っているメール: {held} "
                                 "通。]受信と内部のメールには影響"
                                 "ありません。",
                         .what_to_do =
                                 "1. このマシンの事業者に外向き 25 番ポートの解放を依頼する。\n"
                                 "[!route 2. それまでは中継サーバーを設定する: etc/hikyaku.conf の "
                                 "`route` "
                                 "セクションと、`carry` セクションの `fallback-route`。その後 "
                                 "hikyaku -C "
                                 "{dir} reload\n]"
                                 "3. 待っているメールを見る: hikyaku -C {dir} queue list",
                 }},
        [INCIDENT_SENDING] =
                {"sending",
                 {
                         .title = "{key} suddenly sends differently; its mail is held",
                         .cause = "[reason=recipients It writes to many recipients that it never "
                                  "wrote to "
                                  "before.][reason=unknown Many of the addresses that it writes to "
                                  "do not "
                                  "exist.][reason=networks It logs in from networks that it never "
                                  "used "
                                  "before.][reason=volume It sends far more than usual.]"
                                  "[!reason It sends in a way that it never did before.]"
                                  "[ Usual: {usual}.][ Now: {now}.][ {detail}][ From: {peer}.]"
                                  " That is what a stolen password looks like.",
                         .cost = "What it sends waits here[: {held} mails]; nothing of it goes "
                                 "out, nothing "
                                 "is deleted. Its mailbox works, and everybody else's mail goes "
                                 "on.",
                         .what_to_do = "1. Look at what waits: hikyaku -C {dir} queue list "
                                       "incident:{number}\n"
                                       "2. If the person did not write it: give the account a new "
                                       "password, "
                                       "which also ends its sessions: hikyaku -C {dir} account "
                                       "password {key}\n"
                                       "   and delete what waits: hikyaku -C {dir} queue remove "
                                       "incident:{number}\n"
                                       "   Then let the person send again: hikyaku -C {dir} "
                                       "incidents close {number}\n"
                                       "3. If it is theirs: hikyaku -C {dir} incidents close "
                                       "{number} lets it "
                                       "go out.",
                 },
                 {
                         .title = "{key} の送信の様子が急に変わったため、送信を保留しました",
                         .cause = "[reason=recipients "
                                  "これまで送ったことのない多数の宛先に送信しています。]"
                                  "[reason=unknown 宛先の多くが存在しません。]"
                                  "[reason=networks "
                                  "これまで使われたことのないネットワークからログインしています。]"
                                  "[reason=volume 送信量が普段を大きく超えています。]"
                                  "[!reason これまでにない送り方をしています。]"
                                  "[普段: {usual}。][現在: {now}。][{detail}][接続元: {peer}。]"
                                  "パスワードが盗まれた場合に見られる兆候です。",
                         .cost = "このアカウントの送信メールはここで待っています[ ({held} 通)]。"
                                 "外には出ず、削除もされません。受信と、他の人のメールには影響あり"
                                 "ません。",
                         .what_to_do =
                                 "1. 待っているメールを確認する: hikyaku -C {dir} queue list "
                                 "incident:{number}\n"
                                 "2. 本人のものでなければ、パスワードを変更する "
                                 "(接続中のセッションも"
                                 "終了します): hikyaku -C {dir} account password {key}\n"
                                 "   待っているメールを削除する: hikyaku -C {dir} queue remove "
                                 "incident:{number}\n"
                                 "   その後、送信を再開する: hikyaku -C {dir} incidents close "
                                 "{number}\n"
                                 "3. 本人のものなら: hikyaku -C {dir} incidents close {number} "
                                 "で送信されます。",
                 }},
        [INCIDENT_DNS] =
                {"dns",
                 {
                         .title = "Names cannot be resolved[: {name}]",
                         .cause = "Questions to the DNS fail[: {failing} of {asked}][, for example "
                                  "{name} "
                                  "{type}][: {reason}].",
                         .cost = "Mail whose destination cannot be looked up waits; none is sent "
                                 "back "
                                 "because of this. Mail that comes in is taken.",
                         .what_to_do =
                                 "1. Is the network there? Can this machine send to port 53, UDP "
                                 "and TCP?\n"
                                 "2. If it has to ask a certain resolver: `forward` in section "
                                 "`resolver` of etc/hikyaku.conf, then hikyaku -C {dir} reload\n"
                                 "3. hikyaku -C {dir} status shows when it works again.",
                 },
                 {
                         .title = "名前解決ができません[: {name}]",
                         .cause = "DNS への問い合わせが失敗しています[ ({asked} 件中 {failing} 件)]"
                                  "[。例: {name} {type}][: {reason}]。",
                         .cost = "宛先を調べられないメールはここで待ちます。これを理由に返送される"
                                 "ことは"
                                 "ありません。受信は続きます。",
                         .what_to_do = "1. ネットワークを確認する。53 番ポート (UDP と TCP) "
                                       "に出られるか。\n"
                                       "2. 決まったリゾルバーを使う必要があれば: etc/hikyaku.conf "
                                       "の `resolver` "
                                       "セクションに `forward` を書き、hikyaku -C {dir} reload\n"
                                       "3. hikyaku -C {dir} status で回復を確認できます。",
                 }},
        [INCIDENT_DOMAIN] =
                {"domain",
                 {
                         .title = "Mail from {key} is refused: it cannot be proven to be ours",
                         .cause = "[{provider} ][!provider Another server ]says that mail from "
                                  "{key} fails "
                                  "SPF, DKIM or DMARC, or that the domain is listed.[ That was at "
                                  "{time}.][ The host: {host}.][ Its answer:\n    {reply}]",
                         .cost = "Mail from {key} to such servers is tried again for days and then "
                                 "sent "
                                 "back, unless this is mended.[ {held} mails wait.] Mail of other "
                                 "domains goes on.",
                         .what_to_do =
                                 "1. What is published, and what should be: hikyaku -C {dir} dns "
                                 "{key}\n"
                                 "2. Are there keys that sign? hikyaku -C {dir} dkim list\n"
                                 "[3. What the provider says about it: {link}\n]"
                                 "4. Then: hikyaku -C {dir} queue retry",
                         .request = "[To: {mail}\n]"
                                    "Subject: Mail from {key} is refused\n"
                                    "\n"
                                    "Dear postmaster,\n"
                                    "\n"
                                    "your mail servers refuse mail from our domain {key}.\n"
                                    "\n"
                                    "[  Your host:     {host}\n]"
                                    "[  Time:          {time}\n]"
                                    "[  Your reply:    {reply}\n]"
                                    "\n"
                                    "Its SPF, DKIM and DMARC records are published. Would you "
                                    "please tell us "
                                    "what we have to mend?\n"
                                    "\n"
                                    "Thank you,\n"
                                    "postmaster@{key}\n",
                 },
                 {
                         .title =
                                 "{key} からのメールが拒否されています: 本物であると確認されません",
                         .cause = "[{provider} ][!provider 他のサーバー]が、{key} からのメールは "
                                  "SPF、DKIM、"
                                  "DMARC "
                                  "のいずれかに合格しない、またはドメインがリストに載っていると"
                                  "応答しました。[\n日時: {time}][\n応答したホスト: "
                                  "{host}][\n応答: {reply}]",
                         .cost = "修正しないと、{key} "
                                 "からこれらのサーバーへのメールは数日間再送された後、"
                                 "差出人に返送されます。[待っているメール: {held} "
                                 "通。]他のドメインの"
                                 "メールには影響ありません。",
                         .what_to_do = "1. 公開されている記録と、あるべき記録を比べる: hikyaku -C "
                                       "{dir} dns {key}\n"
                                       "2. 署名する鍵があるか: hikyaku -C {dir} dkim list\n"
                                       "[3. 先方の説明: {link}\n]"
                                       "4. その後: hikyaku -C {dir} queue retry",
                         .request = "[宛先: {mail}\n]"
                                    "件名: {key} からのメールの受信拒否について\n"
                                    "\n"
                                    "メールシステムご担当者様\n"
                                    "\n"
                                    "当方のドメイン {key} "
                                    "からのメールが、貴社のサーバーに拒否されております。\n"
                                    "\n"
                                    "[  貴社のホスト: {host}\n]"
                                    "[  日時: {time}\n]"
                                    "[  貴社サーバーの応答: {reply}\n]"
                                    "\n"
                                    "SPF、DKIM、DMARC "
                                    "は公開しております。改善すべき点をご教示いただけますと\n"
                                    "幸いです。\n"
                                    "\n"
                                    "postmaster@{key}\n",
                 }},
        [INCIDENT_DKIM] =
                {"dkim",
                 {
                         .title = "Mail from {key} goes out without a DKIM signature",
                         .cause = "[{reason}][!reason There is no key that signs for it.][ "
                                  "Selector: "
                                  "{selector}.]",
                         .cost = "Mail goes out; large providers may take it for spam or refuse "
                                 "it.",
                         .what_to_do = "1. Make keys: hikyaku -C {dir} dkim add {key}\n"
                                       "2. Publish what this prints; then: hikyaku -C {dir} dkim "
                                       "use {key}",
                 },
                 {
                         .title = "{key} からのメールが DKIM 署名なしで送られています",
                         .cause = "[{reason}][!reason 署名する鍵がありません。][セレクター: "
                                  "{selector}。]",
                         .cost = "メールは送られますが、大手プロバイダーに迷惑メールとみなされたり"
                                 "、拒否"
                                 "されたりすることがあります。",
                         .what_to_do =
                                 "1. 鍵を作る: hikyaku -C {dir} dkim add {key}\n"
                                 "2. 表示される記録を公開してから: hikyaku -C {dir} dkim use {key}",
                 }},
        [INCIDENT_DESTINATION] =
                {"destination",
                 {
                         .title = "{key} cannot be reached",
                         .cause = "[None of its hosts answers: {hosts}. ][!hosts None of its hosts "
                                  "answers. "
                                  "][{reason}]",
                         .cost = "[{queued} mails wait for it.][ The oldest goes back to its "
                                 "sender at "
                                 "{expires}.] Mail to other destinations goes on.",
                         .what_to_do =
                                 "1. Is it them? Most likely; it is tried again by itself.\n"
                                 "2. Everything known about it: hikyaku -C {dir} queue why @{key}\n"
                                 "3. To try at once: hikyaku -C {dir} queue retry @{key}",
                 },
                 {
                         .title = "{key} に接続できません",
                         .cause = "[どのホストも応答しません: {hosts}。][!hosts "
                                  "どのホストも応答しません。]"
                                  "[{reason}]",
                         .cost = "[{queued} 通のメールが待っています。][最も古いものは {expires} "
                                 "に差出人に"
                                 "返送されます。]他の宛先には影響ありません。",
                         .what_to_do = "1. おそらく相手側の問題です。自動的に再送します。\n"
                                       "2. 詳しい状況: hikyaku -C {dir} queue why @{key}\n"
                                       "3. すぐに試す: hikyaku -C {dir} queue retry @{key}",
                 }},
        [INCIDENT_TLS] =
                {"tls",
                 {
                         .title = "No trusted TLS connection to {key}",
                         .cause =
                                 "[policy=dane DANE][policy=mta-sts MTA-STS][policy=requiretls The "
                                 "sender "
                                 "(REQUIRETLS)][!policy Its policy] demands a TLS connection whose "
                                 "certificate proves the host, and there is none[ at {host}][: "
                                 "{reason}]. "
                                 "Either that side is misconfigured, or somebody stands in "
                                 "between.",
                         .cost = "Mail to {key} waits rather than being read by strangers[: "
                                 "{queued}]. It "
                                 "is tried again by itself and goes back to its senders in the "
                                 "end.",
                         .what_to_do =
                                 "1. Tell the destination's postmaster, in another way than by "
                                 "this "
                                 "mail.\n"
                                 "2. Everything known about it: hikyaku -C {dir} queue why @{key}\n"
                                 "3. To try at once: hikyaku -C {dir} queue retry @{key}",
                 },
                 {
                         .title = "{key} への信頼できる TLS 接続が得られません",
                         .cause = "[policy=dane DANE][policy=mta-sts MTA-STS][policy=requiretls "
                                  "差出人の指定 "
                                  "(REQUIRETLS)][!policy 相手の方針] は証明書で確認できる TLS "
                                  "接続を求めて"
                                  "いますが、得られません[ ({host})][: "
                                  "{reason}]。相手の設定の誤りか、途中に"
                                  "誰かがいます。",
                         .cost = "{key} 宛のメールは、他人に読まれないようここで待ちます[ "
                                 "({queued} 通)]。"
                                 "自動的に再送し、期限までに送れなければ差出人に返送します。",
                         .what_to_do = "1. 相手の postmaster に、メール以外の方法で知らせる。\n"
                                       "2. 詳しい状況: hikyaku -C {dir} queue why @{key}\n"
                                       "3. すぐに試す: hikyaku -C {dir} queue retry @{key}",
                 }},
        [INCIDENT_SILENCE] =
                {"silence",
                 {
                         .title = "[what=pair No mail from {from} to {to} any more]"
                                  "[what=list The list {from} is silent]"
                                  "[what=all Nobody sends us mail any more]"
                                  "[what=host No mail from the host {from} any more][!what No "
                                  "mail: {key}]",
                         .cause = "[{seen} mails came so far; ][never more than {usual} passed "
                                  "between two of them; ][the last one came at {last}][, {silent} "
                                  "ago]. Either nobody wrote, or something on the way is broken: "
                                  "their server, a refusal of ours, a job that no longer runs.",
                         .cost = "Perhaps nothing; perhaps the mail that should have come. Other "
                                 "mail is not concerned.",
                         .what_to_do =
                                 "1. Was any of it refused or deferred here? hikyaku -C {dir} "
                                 "trace [{from}][!from {key}]\n"
                                 "2. [what=host Does its job still run, and does its mail leave "
                                 "it?][what=list Is the list still there, and are you still a "
                                 "member?][what=pair Ask them in another way.][!what Ask them.]\n"
                                 "3. All is well? hikyaku -C {dir} incidents close {number}: its "
                                 "rhythm is learnt anew.",
                 },
                 {
                         .title = "[what=pair {from} から {to} へのメールが途絶えています]"
                                  "[what=list メーリングリスト {from} が静かになりました]"
                                  "[what=all 外部からのメールがまったく届きません]"
                                  "[what=host ホスト {from} からのメールが途絶えています][!what "
                                  "メールが途絶えています: {key}]",
                         .cause = "[これまでに {seen} 通届き、][間隔が {usual} "
                                  "を超えたことはありませんでした。][最後は {last} です]"
                                  "[ ({silent}前)]。書く人がいないか、途中の何か "
                                  "(相手のサーバー、当方の拒否、動かなくなったジョブ) "
                                  "が壊れています。",
                         .cost = "何も失われていないかもしれませんし、届くはずのメールが失われて"
                                 "いるかもしれません。他のメールには影響ありません。",
                         .what_to_do =
                                 "1. 当方で拒否や延期がなかったか: hikyaku -C {dir} trace "
                                 "[{from}][!from {key}]\n"
                                 "2. [what=host ジョブが動いているか、メールが送り出されているか"
                                 "確認する。][what=list リストがまだあるか、まだ会員か確認する。]"
                                 "[what=pair 別の方法で相手に尋ねる。][!what 相手に尋ねる。]\n"
                                 "3. 問題がなければ: hikyaku -C {dir} incidents close {number} "
                                 "(間隔を学び直します)",
                 }},
        [INCIDENT_CHANNEL] =
                {"channel",
                 {
                         .title = "Alarms do not get through: {key}",
                         .cause = "[way=webhook The webhook of alarm {key} does not take "
                                  "them][way=mail The mail of alarm {key} could not be handed "
                                  "in][way=collect Nobody collects the alarms of {key} (`hikyaku "
                                  "alarms run {key}` is not running)][!way Alarm {key} cannot be "
                                  "reached][ since {since}][: {reason}].",
                         .cost = "The operator is not told there[: {waiting} alarms wait]. They "
                                 "are kept for a week and tried again by themselves. Mail is not "
                                 "concerned.",
                         .what_to_do = "1. See what waits and why: hikyaku -C {dir} alarms list\n"
                                       "2. Check section `alarm {key}` in "
                                       "etc/hikyaku.conf[way=webhook , and "
                                       "the secret in keys/alarm/{key}]; then hikyaku -C {dir} "
                                       "reload\n"
                                       "3. Try it: hikyaku -C {dir} alarms test {key}",
                 },
                 {
                         .title = "通知が届いていません: {key}",
                         .cause = "[way=webhook 通知 {key} の webhook "
                                  "が受け取りません][way=mail 通知 {key} "
                                  "のメールを渡せません][way=collect 通知 {key} "
                                  "を受け取るプログラム (`hikyaku alarms run {key}`) "
                                  "が動いていません][!way 通知 {key} が届きません][ ({since} "
                                  "から)][: {reason}]。",
                         .cost = "この経路では管理者に知らせが届きません[ (待っている通知: "
                                 "{waiting} 件)]。1 週間保存し、自動的に再送します。"
                                 "メールには影響ありません。",
                         .what_to_do = "1. 何がなぜ待っているか: hikyaku -C {dir} alarms list\n"
                                       "2. etc/hikyaku.conf の `alarm {key}`[way=webhook と "
                                       "keys/alarm/{key}] を確認する。その後 hikyaku -C {dir} "
                                       "reload\n"
                                       "3. 試す: hikyaku -C {dir} alarms test {key}",
                 }},
        [INCIDENT_DRIFT] =
                {"drift",
                 {
                         .title = "The DNS no longer says what it should of {key}",
                         .cause = "[{records}][!records Records that were right are missing or "
                                  "different.]",
                         .cost = "Others may refuse our mail or call it spam, or send their mail "
                                 "elsewhere. Nothing is lost here.",
                         .what_to_do = "1. What should be published, and what is: hikyaku -C {dir} "
                                       "dns {key}\n"
                                       "2. Mend the records where the domain's DNS is kept. This "
                                       "closes by itself once they are right.",
                 },
                 {
                         .title = "{key} の DNS の内容が正しくなくなりました",
                         .cause = "[{records}][!records "
                                  "正しかったレコードがなくなったか、変わっています。]",
                         .cost = "他のサーバーに拒否されたり、迷惑メールとされたり、メールが別の"
                                 "所に送られたりします。ここで失われるものはありません。",
                         .what_to_do = "1. 公開すべき内容と現状: hikyaku -C {dir} dns {key}\n"
                                       "2. ドメインの DNS "
                                       "のレコードを直す。正しくなれば自動的に解決します。",
                 }},
        [INCIDENT_SMARTHOST] =
                {"smarthost",
                 {
                         .title = "The smarthost of route {key} refuses us",
                         .cause = "[{host} answered: {reply}][!reply It could not be used.]",
                         .cost = "Mail that takes this route waits[: {held}]; none is sent back "
                                 "because of "
                                 "this.",
                         .what_to_do = "1. Check user name and password: section `route {key}` in "
                                       "etc/hikyaku.conf and keys/smarthost/{key}; then hikyaku -C "
                                       "{dir} reload\n"
                                       "2. hikyaku -C {dir} queue retry",
                 },
                 {
                         .title = "経路 {key} の中継サーバーに拒否されています",
                         .cause = "[{host} の応答: {reply}][!reply 利用できませんでした。]",
                         .cost = "この経路のメールはここで待ちます[ ({held} "
                                 "通)]。これを理由に返送されることは"
                                 "ありません。",
                         .what_to_do = "1. ユーザー名とパスワードを確認する: etc/hikyaku.conf の "
                                       "`route {key}` と "
                                       "keys/smarthost/{key}。その後 hikyaku -C {dir} reload\n"
                                       "2. hikyaku -C {dir} queue retry",
                 }},
        [INCIDENT_OWN_ADDRESS] =
                {"own-address",
                 {
                         .title = "{key} sends through another server[ ({name})]",
                         .cause =
                                 "Mail from {key} came in from outside[, from {ip}][ ({name})][ at "
                                 "{time}], and nothing proved that it is from there. It came from "
                                 "a "
                                 "network where this user logs in, so it is most likely no "
                                 "forgery: "
                                 "a mail program that lost its setting for sending and uses its "
                                 "internet provider's server instead.",
                         .cost = "[action=accept Here it was delivered; elsewhere it is taken for "
                                 "a "
                                 "forgery.][action=junk Here it was put into Junk; elsewhere it "
                                 "may "
                                 "be refused.][action=refuse It was refused, and a copy is kept.]"
                                 "[action=defer It was deferred.] None of it is signed or counted "
                                 "as ours, and replies may be lost.",
                         .what_to_do =
                                 "1. What came: hikyaku -C {dir} trace {key}\n"
                                 "[action=refuse 2. To deliver the copy that was kept: hikyaku -C "
                                 "{dir} escrow release [{id}][!id ID]\n]"
                                 "3. Ask the user to set the outgoing server again; a letter that "
                                 "you can send is below.\n"
                                 "4. If the user knows nothing of it, it is a forgery: change the "
                                 "password (hikyaku -C {dir} account password {key}).\n"
                                 "It closes by itself when the user sends through this server "
                                 "again.",
                         .request = OWN_ADDRESS_EN,
                 },
                 {
                         .title = "{key} が別のサーバー[ ({name}) ]から送信しています",
                         .cause = "{key} を差出人とするメールが外部[ ({ip}) ][ ({name}) "
                                  "]から届きました"
                                  "[ (日時: "
                                  "{time})]。本人であることを示すものはありませんが、この利用者が"
                                  "ふだんログインしているネットワークから来ているため、偽装ではなく"
                                  "、"
                                  "メールソフトが送信サーバーの設定を失い、プロバイダーのサーバーか"
                                  "ら"
                                  "送っている可能性が高いと考えられます。",
                         .cost = "[action=accept "
                                 "このサーバーでは配達しましたが、他では偽装とみなされます。]"
                                 "[action=junk このサーバーでは迷惑メールフォルダーに入れました。"
                                 "他では拒否されることがあります。]"
                                 "[action=refuse 拒否しました。控えを保管しています。]"
                                 "[action=defer 一時的に断りました。]署名もなく、当サーバーの"
                                 "メールとして扱われません。",
                         .what_to_do =
                                 "1. 届いたメールを見る: hikyaku -C {dir} trace {key}\n"
                                 "[action=refuse 2. 保管した控えを配達する: hikyaku -C {dir} "
                                 "escrow "
                                 "release [{id}][!id ID]\n]"
                                 "3. "
                                 "送信サーバーの再設定を利用者に依頼する。依頼文は下にあります。\n"
                                 "4. 本人に覚えがなければ偽装です。パスワードを変更してください "
                                 "(hikyaku -C {dir} account password {key})。\n"
                                 "利用者がこのサーバーから送信すると自動的に終了します。",
                         .request = OWN_ADDRESS_JA,
                 }},
        [INCIDENT_SENDERS] =
                {"senders",
                 {
                         .title = "Hosts of {key} have no forward DNS, and people we know write "
                                  "from there",
                         .cause = "Mail[ of {sender}] came from hosts whose names do not lead back "
                                  "to their addresses[, the last one {ip}][ ({name})]. That is the "
                                  "provider's mistake, not the sender's.",
                         .cost = "[action=accept Nothing here: it alone refuses nobody, and these "
                                 "mails were delivered.][action=junk The last of these mails went "
                                 "to Junk.][action=defer The last of these mails was deferred; it "
                                 "comes again.][action=refuse The last of these mails was refused, "
                                 "and a copy is kept.] Other servers refuse such mail.",
                         .what_to_do =
                                 "1. How many hosts and mails: hikyaku -C {dir} senders {key}\n"
                                 "[action=refuse 2. Deliver the copy: hikyaku -C {dir} escrow "
                                 "release [{id}][!id ID]\n]"
                                 "[action=junk 2. Why Junk: hikyaku -C {dir} trace [{id}][!id "
                                 "ID]\n]"
                                 "3. Send the letter below to the provider.\n"
                                 "It closes by itself when no such mail came for three days.",
                         .request = SENDERS_EN,
                 },
                 {
                         .title = "{key} "
                                  "のホストは逆引きが一致せず、既知の差出人のメールがそこから届いて"
                                  "います",
                         .cause = "逆引き名が元のアドレスに戻らないホストから[、{sender} "
                                  "の]メールが届きました"
                                  "[ (最後のホスト: {ip}[ "
                                  "{name}])]。これは差出人ではなく、事業者側の"
                                  "設定の問題です。",
                         .cost = "[action=accept "
                                 "このサーバーでは影響ありません。これだけを理由に拒否することは"
                                 "なく、メールは配達しました。][action=junk "
                                 "最後のメールは迷惑メールフォルダーに"
                                 "入れました。][action=defer "
                                 "最後のメールは一時的に断りました。再送されます。]"
                                 "[action=refuse "
                                 "最後のメールは拒否しました。控えを保管しています。]"
                                 "他のサーバーでは拒否されることがあります。",
                         .what_to_do =
                                 "1. ホストとメールの数を見る: hikyaku -C {dir} senders {key}\n"
                                 "[action=refuse 2. 控えを配達する: hikyaku -C {dir} escrow "
                                 "release "
                                 "[{id}][!id ID]\n]"
                                 "[action=junk 2. 迷惑メールになった理由: hikyaku -C {dir} trace "
                                 "[{id}][!id ID]\n]"
                                 "3. 下の文面を事業者に送る。\n"
                                 "このようなメールが 3 日間届かなければ自動的に終了します。",
                         .request = SENDERS_JA,
                 }},
        [INCIDENT_CHECK] =
                {"check",
                 {
                         .title = "The check {key} may not refuse mail any more"
                                  "[cause=known-senders : it accuses senders whom we know]"
                                  "[cause=clean-mail : it accuses mail that nothing else speaks "
                                  "against][cause=rate : it accuses far more than it used to]"
                                  "[cause=tests : it lists everything]",
                         .cause = "What it says cannot be trusted today. "
                                  "[cause=known-senders Within a day it spoke against known, "
                                  "proved "
                                  "senders of more than one domain. ]"
                                  "[cause=clean-mail Within half an hour it spoke against mail of "
                                  "several proved senders that no other check minds, far more "
                                  "often "
                                  "than in the days before. ]"
                                  "[cause=rate Within half an hour it spoke against far more mail "
                                  "than in the days before. ]"
                                  "[cause=tests It lists an entry that no list may have (RFC "
                                  "5782): "
                                  "whoever asks gets the answer \"listed\". ]"
                                  "[It accused {accused} mails in 24 hours[, {known} of them of "
                                  "known senders].][\nIts zone: {zone}.]"
                                  "[\nIts test entries: {tests}]",
                         .cost = "Nothing is refused because of it now; it is still asked, and "
                                 "what "
                                 "it says is noted.[ What it alone had refused since {bad_since} "
                                 "after DATA is being delivered from escrow; what it would have "
                                 "refused before DATA comes again by itself.] More junk may get "
                                 "through.",
                         .what_to_do =
                                 "1. See what it says and how often: hikyaku -C {dir} checks "
                                 "{key}\n"
                                 "2. What of its refusals is still kept: hikyaku -C {dir} escrow "
                                 "list --check={key}\n"
                                 "   Deliver all of it: hikyaku -C {dir} escrow release "
                                 "--check={key}\n"
                                 "3. If it is right after all: hikyaku -C {dir} checks restore "
                                 "{key}\n"
                                 "4. If it is broken for good: take its section out of "
                                 "etc/hikyaku.conf, then hikyaku -C {dir} reload\n"
                                 "It comes back by itself when it was well for long enough[, not "
                                 "before {returns}].",
                 },
                 {
                         .title = "チェック {key} によるメールの拒否を止めました"
                                  "[cause=known-senders : 既知の差出人を拒否しようとしています]"
                                  "[cause=clean-mail : "
                                  "ほかに問題のないメールを拒否しようとしています]"
                                  "[cause=rate : 拒否の割合が急増しました]"
                                  "[cause=tests : すべてを登録済みと答えています]",
                         .cause = "現在この判定は信頼できません。"
                                  "[cause=known-senders 1 日のうちに、認証された既知の差出人 "
                                  "(複数のドメイン) を不良と判定しました。]"
                                  "[cause=clean-mail 30 "
                                  "分のうちに、ほかのチェックでは問題のない複数の差出人のメールを、"
                                  "これまでよりはるかに多く不良と判定しました。]"
                                  "[cause=rate 30 "
                                  "分のうちに、これまでよりはるかに多くのメールを不良と判定しました"
                                  "。]"
                                  "[cause=tests 登録してはならない試験項目 (RFC 5782) "
                                  "まで登録済みと答えています。]"
                                  "[24 時間の不良判定: {accused} 通][ (うち既知の差出人 {known} "
                                  "通)]"
                                  "[\nゾーン: {zone}][\n試験項目: {tests}]",
                         .cost = "このチェックを理由にメールを拒否することはもうありません。"
                                 "問い合わせは続け、結果は記録します。[{bad_since} 以降に DATA "
                                 "後にこのチェックだけで拒否したメールは、保管庫から配達しています"
                                 "。"
                                 "DATA 前に拒否されるはずだったメールは自動的に再送されます。]"
                                 "迷惑メールが増えるかもしれません。",
                         .what_to_do =
                                 "1. 判定の内容と頻度を見る: hikyaku -C {dir} checks {key}\n"
                                 "2. 拒否して保管中のメール: hikyaku -C {dir} escrow list "
                                 "--check={key}\n"
                                 "   すべて配達する: hikyaku -C {dir} escrow release "
                                 "--check={key}\n"
                                 "3. チェックが正しい場合: hikyaku -C {dir} checks restore {key}\n"
                                 "4. 直る見込みがない場合: etc/hikyaku.conf "
                                 "からそのセクションを削除し、hikyaku -C {dir} reload\n"
                                 "十分な期間正常であれば自動的に復帰します[ (早くて {returns})]。",
                 }},
        [INCIDENT_BLIND] =
                {"blind",
                 {
                         .title = "The check {key} has checked nothing[ since {since}]",
                         .cause = "It gives no answer that can be used.[ The last: {doubt}]"
                                  "[\nIts zone: {zone}.][\nIts test entries: {tests}]",
                         .cost = "No mail is refused, deferred or lost because of it: an answer in "
                                 "doubt counts as none. Junk that it would have recognised gets "
                                 "through.",
                         .what_to_do =
                                 "1. See it and the others: hikyaku -C {dir} checks\n"
                                 "2. A list that refuses us mostly wants to be asked by a resolver "
                                 "of one's own: leave `forward` out of section `resolver` in "
                                 "etc/hikyaku.conf, or get a key from the list (`key` in its "
                                 "section), then hikyaku -C {dir} reload\n"
                                 "3. A list whose domain is parked, or which has listed nothing "
                                 "for "
                                 "days, is dead: take its section out, then hikyaku -C {dir} "
                                 "reload\n"
                                 "It closes by itself with the first usable answer.",
                 },
                 {
                         .title = "チェック {key} が[ {since} から]何も検査していません",
                         .cause = "使える応答がありません。[最後の応答: {doubt}][\nゾーン: {zone}]"
                                  "[\n試験項目: {tests}]",
                         .cost = "このためにメールが拒否、遅延、消失することはありません。"
                                 "疑わしい応答は無かったものとして扱います。"
                                 "このチェックで見分けていた迷惑メールは通過します。",
                         .what_to_do =
                                 "1. チェックの一覧: hikyaku -C {dir} checks\n"
                                 "2. "
                                 "リストに拒否された場合は、たいてい自前のリゾルバーで問い合わせる"
                                 "必要があります。etc/hikyaku.conf の `resolver` セクションから "
                                 "`forward` を外すか、リストの鍵を取得してそのセクションの `key` "
                                 "に書き、hikyaku -C {dir} reload\n"
                                 "3. "
                                 "ドメインが失効したリストや、何日も何も登録していないリストは"
                                 "終了しています。セクションを削除し、hikyaku -C {dir} reload\n"
                                 "最初の使える応答で自動的に終了します。",
                 }},
        [INCIDENT_GUESSING] =
                {"guessing",
                 {
                         .title = "Many addresses guess passwords[: {addresses}]",
                         .cause = "[Since {since} ][!since Lately ]logins fail, and recipients are "
                                  "tried that do not exist, from [{addresses} ]different addresses "
                                  "at once.[ Tried were, for example: {users}.]",
                         .cost = "Nothing yet.[ {banned} addresses are kept out.] While this "
                                 "lasts, "
                                 "addresses that nobody of ours ever used are banned after half as "
                                 "many attempts. An account with a weak password may be found.",
                         .what_to_do =
                                 "1. Who is kept out: hikyaku -C {dir} ban list\n"
                                 "2. Did one of them get in? hikyaku -C {dir} ban why ADDRESS "
                                 "and hikyaku -C {dir} trace ADDRESS\n"
                                 "3. If one of our own people is kept out: hikyaku -C {dir} "
                                 "ban lift ADDRESS, and for good: `allow` in section `ban` of "
                                 "etc/hikyaku.conf\n"
                                 "It closes by itself half an hour after the last attempt.",
                 },
                 {
                         .title = "多数のアドレスからパスワードが試されています[ ({addresses})]",
                         .cause = "[{since} から、][{addresses} 個の]異なるアドレスから同時に、"
                                  "ログインの失敗や、存在しない宛先への送信が続いています。"
                                  "[試された名前の例: {users}]",
                         .cost = "今のところ被害はありません。[{banned} "
                                 "個のアドレスを締め出しました。]"
                                 "続いている間、利用者が使ったことのないアドレスは普段の半分の回数"
                                 "で"
                                 "締め出されます。弱いパスワードは見つけられるおそれがあります。",
                         .what_to_do = "1. 締め出し中のアドレス: hikyaku -C {dir} ban list\n"
                                       "2. 侵入されていないか: hikyaku -C {dir} ban why アドレス、"
                                       "hikyaku -C {dir} trace アドレス\n"
                                       "3. 利用者が締め出された場合: hikyaku -C {dir} ban lift "
                                       "アドレス。以後も除外するには etc/hikyaku.conf の `ban` "
                                       "セクションの `allow`\n"
                                       "最後の試行から 30 分で自動的に終了します。",
                 }},
        [INCIDENT_JAIL] =
                {"jail",
                 {
                         .title = "Ban rules of {key} are dead: failures are seen, nothing ever "
                                  "matched",
                         .cause = "[{lines} lines were read. ][{suspicious} of them look like "
                                  "failures][!suspicious Failures were seen], and none was counted "
                                  "against anybody.[ For example:\n    {example}]",
                         .cost = "Whoever attacks this service is not kept out. Everything else "
                                 "works.",
                         .what_to_do =
                                 "1. Do the bans themselves work? hikyaku -C {dir} ban test\n"
                                 "2. Which lines match? hikyaku check ban {key} < the log\n"
                                 "3. Add a rule for such lines with a sample; a rule is loaded "
                                 "only when its samples prove it (docs/bans.md).\n"
                                 "It closes by itself with the first match.",
                 },
                 {
                         .title = "{key} の締め出しルールが働いていません: "
                                  "失敗があるのに一度も一致しません",
                         .cause = "[{lines} 行を読みました。][そのうち {suspicious} "
                                  "行][!suspicious 記録]が"
                                  "失敗のように見えますが、どのルールにも一致していません。"
                                  "[例:\n    {example}]",
                         .cost = "このサービスを攻撃する相手は締め出されません。ほかは正常です。",
                         .what_to_do =
                                 "1. 締め出し自体は働くか: hikyaku -C {dir} ban test\n"
                                 "2. どの行が一致するか: hikyaku check ban {key} < ログ\n"
                                 "3. そのような行のルールを見本とともに加える。見本で証明された"
                                 "ルールだけが読み込まれます (docs/bans.md)。\n"
                                 "最初に一致した時に自動的に終了します。",
                 }},
};
