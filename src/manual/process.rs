//! The process: its privileges, its keys, its admin interface, its life cycle.
//!
//! # The attack
//!
//! All other pages are about requests. This one is about the program: it faces the internet, holds private keys, is started by
//! root to bind port 443, and has an admin interface. An input that crashes it ends every request; an input that takes
//! control of it gets its privileges.
//!
//! # Known cases
//!
//! * **Apache httpd**'s workers, which run without privileges, could make the parent run code as root at the next
//!   graceful restart ([CVE-2019-0211]); **nginx** packages let the web user own the folder in which root created log
//!   files ([CVE-2016-1247]).
//! * **OpenSSL** disclosed the memory of the process, keys included, because a length was not checked ([CVE-2014-0160]).
//! * Admin interfaces that could be reached from outside: **F5 BIG-IP**'s twice, both times to root ([CVE-2020-5902],
//!   [CVE-2022-1388]); **Kong**'s in a published compose file ([CVE-2020-11710], disputed by the vendor: the
//!   template, not the product).
//! * One input that ends the process: **Envoy** with a PROXY header of type LOCAL ([CVE-2024-23327]).
//!
//! # How this code avoids it
//!
//! * `unsafe` is forbidden in the crate, and TLS is rustls: no read beyond a buffer.
//! * `process.user`: root only until ports are bound and keys are read. Every thread changes to that user before the first
//!   byte of a client is read ([`privileges`](crate::privileges)). Log files are opened after that, so that root creates no
//!   file in a folder that another user can write to.
//! * `check` and the start warn of a key or a file of secrets that others can read, and of every file that everyone can write.
//! * A file that root alone reads works for reloads too: what a reload can't read is told at the start, and what was read of it
//!   stays in use until it changes (`src/config/held.rs`).
//! * Whatever stands at the path of a file, asking for it ends soon and holds up nothing ([`files`](crate::files)): what is no
//!   regular file is refused before it is opened, a mount that hangs is an error after a few seconds, and no lock is held meanwhile.
//! * After the start, the process can open only what it was given: its configuration's folders, its log's, its sockets', by Landlock; and it
//!   starts no program, binds no port, becomes nobody else and looks into no other process, by Landlock and seccomp
//!   ([`sandbox`](crate::sandbox)). A process that takes over is started by the command, outside of it.
//! * No core file is written, and no debugger of the gateway's own user can attach, unless `process.core_dumps` says so.
//! * A panic ends only its request: a 500 with the declared headers, one log line, one count, its slots released, its connection
//!   closed ([`proxy::hooks::guard`](crate::proxy::hooks::guard)). A panic outside of a request ends one connection or one stream.
//! * The admin listener takes only loopback addresses unless it has a `token`, and changes nothing without one; then it also
//!   answers only who asks by an address, so that no web page can read it by DNS rebinding
//!   ([`config::compile::telemetry::admin`](crate::config::compile::telemetry::admin)). It bounds connections, heads
//!   and time, and shares no port with clients. Who opens many connections takes them from himself, and `/livez` and
//!   `/readyz` have places of their own.
//! * Root does not do what another user's process says: `portcullis upgrade` as root starts what the running gateway says only if
//!   nobody but root could have written that configuration, and keeps root for no successor of a gateway that gave it up; all
//!   else must be named (`src/cli/upgrade/start.rs`). Which process answers, the kernel says. A socket that is handed over must
//!   listen where it is said to.
//! * Root gives the runtime folder to `process.user` as its last act, by descriptor, and only a folder without other files: a
//!   start that fails has changed nothing. One gateway at a time starts with a folder.
//! * Commands come over a socket in a folder that only the owner can access, from processes of that user or root, as the kernel
//!   reports the peer ([`runtime_folder`](crate::runtime_folder)). The same applies to a process that takes over the listening
//!   sockets; a new process that fails has no effect ([`handover`](crate::handover)).
//! * Secrets have a type that neither prints nor serialises, is not copied, and is overwritten when it is dropped
//!   ([`secret`](crate::secret)). A mistake in a field that holds one is told by its kind, never by its value, in every
//!   output; who asks `/readyz` without a token is told a code alone. What libraries quote of requests at `debug` and `trace` is
//!   masked ([`telemetry::program_log`](crate::telemetry::program_log)). Query parameters
//!   that carry credentials are redacted in logs ([`telemetry::access_log`](crate::telemetry::access_log)). A client can't forge a log
//!   line or write a very long one.
//! * Sockets are bound and certificates loaded before anything starts: a process that can't serve exits at once with the
//!   reason ([`proxy::server::listener::bind`](crate::proxy::server::listener::bind)).
//! * `addresses` of a listener refuse peers before TLS; those of a route are checked before every other access rule
//!   ([`decision::access::address`](crate::decision::access::address)). A list file that becomes invalid or unreadable changes
//!   nothing, and is reported; one that hangs delays no other
//!   (`src/proxy/upkeep/file_looks.rs`).
//! * The process ends by a drain ([`proxy::drain`](crate::proxy::drain)): a restart fails no request, however often it is
//!   forced, and a client can delay the end by `process.drain` at most.
//! * The parsers of clients' bytes and of the configuration are fuzzed (`tests/fuzz/README.md`).
//!
//! # Left to the operator
//!
//! * `process.user`, and the permissions of the files: only that user may read keys, API keys and the configuration. A key that root
//!   alone may read stays as it was at the start; for one that is renewed, there are two ways: let the group of `process.user` read it
//!   (`chgrp portcullis KEY && chmod 640 KEY`), or let systemd pass it (`LoadCredential=`, `{credential: NAME}`) and restart or
//!   upgrade for a new one.
//! * `process.drain_notice`, as long as the load balancer in front needs to notice that `/readyz` fails; and a supervisor that
//!   waits for the notice, `process.drain` and two seconds before it kills.
//! * A folder of its own for the configuration and for each key: the sandbox gives the whole folder of a file, since the file may be
//!   replaced; `portcullis status` lists what was given. `process.sandbox: required`, where the kernel is known to have Landlock.
//! * Bounds of the machine: memory, descriptors, a restart by the supervisor.
//! * `addresses` for routes that only some networks use, above all for administration.
//!
//! # Tests
//!
//! * `tests/it/process.rs::root_is_given_up_by_every_thread_once_sockets_and_keys_are_held`
//! * `tests/it/process.rs::whoever_is_not_root_can_not_become_somebody_else`
//! * `tests/it/process.rs::a_key_that_others_can_read_is_named_with_what_to_do`
//! * `tests/it/process.rs::its_memory_is_no_ones_to_read_unless_that_is_asked_for`
//! * `tests/it/sandbox.rs::a_reload_that_names_a_file_elsewhere_is_refused_and_an_upgrade_takes_it`
//! * `tests/it/sandbox.rs::a_log_elsewhere_is_opened_by_no_reload`
//! * `tests/it/sandbox.rs::every_thread_is_in_the_sandbox`
//! * `src/sandbox/file_access.rs::only_what_is_given_can_be_opened`
//! * `src/sandbox/system_calls.rs::no_program_is_started_and_no_namespace_is_made`
//! * `tests/it/process.rs::no_signal_that_is_none_of_its_ends_ends_a_process_that_starts`
//! * `tests/it/process.rs::a_thread_that_stands_still_is_no_life`
//! * `src/admin.rs::a_web_page_can_not_ask_an_open_listener`
//! * `tests/it/fault.rs::a_panic_is_a_sealed_500_and_ends_the_connection`
//! * `tests/it/fault.rs::a_panic_that_nothing_catches_closes_the_connection_and_is_recorded_all_the_same`
//! * `tests/it/fault.rs::a_panic_is_told_once_with_its_place_and_without_the_request`
//! * `tests/it/fault.rs::a_panic_gives_back_the_place_in_a_limit`
//! * `tests/it/fault.rs::a_panic_ends_one_stream_and_the_others_of_its_connection_go_on`
//! * `tests/it/control.rs::the_runtime_folder_and_its_sockets_are_for_the_owner_alone`
//! * `tests/it/control.rs::a_folder_that_others_may_enter_or_that_is_too_deep_is_refused`
//! * `tests/it/control.rs::other_users_are_refused_even_where_the_folder_lets_them_in`
//! * `tests/it/runtime_folder.rs::a_start_that_is_refused_has_changed_nothing`
//! * `tests/it/runtime_folder.rs::a_folder_with_other_files_is_given_to_nobody`
//! * `tests/it/runtime_folder.rs::of_two_gateways_that_start_together_on_one_folder_one_wins`
//! * `tests/it/runtime_folder.rs::what_is_deleted_of_the_folder_is_made_again`
//! * `tests/it/runtime_folder.rs::whoever_asks_the_upgrade_socket_for_nothing_holds_up_no_order`
//! * `tests/it/upgrade/root.rs::what_another_user_could_have_written_is_not_started`
//! * `tests/it/upgrade/root.rs::a_gateway_that_is_no_root_is_followed_by_no_root_unless_that_is_named`
//! * `tests/it/upgrade/root.rs::an_upgrade_to_another_user_that_fails_changes_nothing`
//! * `tests/it/upgrade.rs::a_gateway_that_gave_up_root_is_followed_by_one_that_does`
//! * `tests/it/upgrade/failing.rs::the_new_processs_death_at_any_moment`
//! * `tests/it/upgrade/failing.rs::nonsense_on_the_upgrade_socket`
//! * `tests/it/upgrade/supervised.rs::a_process_that_hangs_is_heard_no_more`
//! * `tests/it/crash.rs::a_gateway_that_is_killed_under_load_starts_again_in_its_folder_and_its_log_stays_readable`
//! * `tests/it/admin.rs::other_addresses_without_a_token_are_refused`
//! * `tests/it/admin.rs::on_other_addresses_metrics_need_the_token_and_health_does_not`
//! * `tests/it/admin.rs::whoever_holds_connections_of_the_admin_listener_keeps_no_probe_out`
//! * `tests/it/admin.rs::whoever_holds_the_most_connections_takes_no_place_of_another_address`
//! * `tests/it/admin.rs::a_probe_takes_no_place_of_another_request`
//! * `tests/it/admin.rs::there_is_no_admin_on_the_public_listener`
//! * `tests/it/drain.rs::clients_that_ask_while_it_drains_see_no_failure`
//! * `tests/it/drain.rs::whoever_holds_a_connection_holds_the_process_for_no_longer_than_the_bound`
//! * `tests/it/address.rs::a_denied_peer_costs_no_handshake`
//! * `tests/it/address.rs::a_denied_client_is_not_asked_who_it_is_and_reaches_no_origin`
//! * `tests/it/address.rs::a_wrong_or_missing_list_changes_nothing_and_is_told`
//! * `src/decision/access/address/set.rs::a_set_holds_exactly_what_a_scan_finds` (for random ranges)
//! * `tests/it/config.rs::a_secret_is_never_printed`
//! * `tests/it/config/secrets.rs::a_secret_in_the_wrong_form_is_never_printed`
//! * `tests/it/config/secrets.rs::a_secret_that_is_no_yaml_is_never_printed`
//! * `tests/it/config/leaks.rs::secrets_in_use_and_credentials_of_clients_are_in_no_output`
//! * `tests/it/config/leaks.rs::a_secret_that_does_not_do_is_not_repeated_wherever_it_is_kept`
//! * `tests/it/config/leaks.rs::what_a_key_file_holds_instead_of_a_key_is_not_repeated`
//! * `tests/it/config/leaks.rs::a_stranger_is_told_whether_it_is_ready_and_a_code`
//! * `src/telemetry/program_log/mask.rs::any_value_of_a_header_map_is_masked` (for random values)
//! * `tests/it/files.rs::a_pipe_in_the_place_of_any_file_is_an_error_at_once`
//! * `tests/it/files.rs::a_file_that_hangs_is_an_error_soon_and_the_others_of_its_mount_are_not_waited_for`
//! * `tests/it/files.rs::a_reload_that_meets_a_file_that_hangs_holds_up_nobody`
//! * `tests/it/files.rs::a_configuration_is_read_from_a_pipe_at_the_start_and_not_again`
//! * `tests/it/files.rs::check_tells_of_every_file_that_everyone_can_write`
//! * `tests/it/files/watched.rs::a_list_that_hangs_is_told_and_delays_no_other`
//! * `tests/it/files/watched.rs::a_file_of_endpoints_that_hangs_is_told_and_delays_no_other`
//! * `tests/it/files/rights.rs::a_reload_keeps_the_key_that_root_alone_reads_until_it_changes`
//! * `tests/it/files/rights.rs::a_configuration_that_no_reload_can_read_is_told_at_the_start`
//! * `tests/it/files/rights.rs::every_secret_may_be_a_credential_of_the_service_manager`
//! * `tests/it/config/secrets.rs::a_running_gateway_never_prints_a_secret_of_a_file_that_it_refuses`
//! * `tests/it/access.rs::no_credential_is_ever_printed`
//! * `tests/it/access_log.rs::nobody_can_write_a_line_of_their_own`
//! * `src/telemetry/access_log/tests.rs::whatever_a_stranger_sends_stays_in_its_line_and_its_quotes` (for random bytes)
//! * `src/telemetry/access_log/tests.rs::no_request_makes_a_long_line`
//! * `src/telemetry/access_log/tests.rs::no_format_writes_a_credential_of_the_query`
//! * `src/telemetry/program_log.rs::a_message_can_not_forge_another_line`
//! * `tests/it/listener.rs::a_taken_port_ends_the_process_at_once_and_is_named`
//! * `tests/it/listener.rs::a_certificate_that_does_not_load_ends_the_process_at_once_and_is_named`
//!
//! [CVE-2014-0160]: https://www.cve.org/CVERecord?id=CVE-2014-0160
//! [CVE-2016-1247]: https://www.cve.org/CVERecord?id=CVE-2016-1247
//! [CVE-2019-0211]: https://www.cve.org/CVERecord?id=CVE-2019-0211
//! [CVE-2020-11710]: https://www.cve.org/CVERecord?id=CVE-2020-11710
//! [CVE-2020-5902]: https://www.cve.org/CVERecord?id=CVE-2020-5902
//! [CVE-2022-1388]: https://www.cve.org/CVERecord?id=CVE-2022-1388
//! [CVE-2024-23327]: https://www.cve.org/CVERecord?id=CVE-2024-23327
