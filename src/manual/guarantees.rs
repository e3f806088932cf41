//! What the operator can rely on: who may do what, what survives what, which failure is told where.
//!
//! The other pages are about attacks. This one is a list of promises about operating the gateway. Each is one sentence, followed by
//! the tests that fail when it is no longer true; `tests/it/manual.rs` refuses a sentence that names no test, or one that does not
//! exist.
//!
//! # Who may do what
//!
//! * Only root and the user that the gateway runs as give orders at the control socket, also where the folder lets others in.
//!   `tests/it/control.rs::other_users_are_refused_even_where_the_folder_lets_them_in`
//! * The runtime folder and its sockets have modes for their owner alone, and a folder that others may enter is refused.
//!   `tests/it/control.rs::the_runtime_folder_and_its_sockets_are_for_the_owner_alone`,
//!   `tests/it/control.rs::a_folder_that_others_may_enter_or_that_is_too_deep_is_refused`
//! * Root gives the runtime folder to `process.user` only if it holds nothing but a gateway's sockets.
//!   `tests/it/runtime_folder.rs::a_folder_with_other_files_is_given_to_nobody`
//! * The admin listener changes something only for whoever has its token.
//!   `tests/it/reload.rs::a_command_needs_the_token`
//! * On other addresses than loopback, the admin listener does not start without a token, and tells nothing but health without it.
//!   `tests/it/admin.rs::other_addresses_without_a_token_are_refused`,
//!   `tests/it/admin.rs::on_other_addresses_metrics_need_the_token_and_health_does_not`
//! * A web page that a browser on this machine shows can't read the admin listener.
//!   `src/admin.rs::a_web_page_can_not_ask_an_open_listener`
//! * Without the token, `/readyz` tells ready or not and a code, and no detail.
//!   `tests/it/config/leaks.rs::a_stranger_is_told_whether_it_is_ready_and_a_code`
//! * No path of a public listener leads to the admin interface.
//!   `tests/it/admin.rs::there_is_no_admin_on_the_public_listener`
//! * With `process.user`, no thread is root or has a capability when the first client is served.
//!   `tests/it/process.rs::root_is_given_up_by_every_thread_once_sockets_and_keys_are_held`
//! * A gateway that can't become `process.user` does not start.
//!   `tests/it/process.rs::whoever_is_not_root_can_not_become_somebody_else`,
//!   `tests/it/process.rs::a_user_that_is_missing_is_a_warning_for_check_and_an_error_for_run`
//! * `portcullis upgrade` as root starts no configuration that another user could have written, unless its path is on the command
//!   line.
//!   `tests/it/upgrade/root.rs::what_another_user_could_have_written_is_not_started`,
//!   `tests/it/upgrade/root.rs::a_configuration_of_the_gateways_user_must_be_named`
//! * A gateway that is not root gets no successor that is, unless the command line names its configuration.
//!   `tests/it/upgrade/root.rs::a_gateway_that_is_no_root_is_followed_by_no_root_unless_that_is_named`,
//!   `tests/it/upgrade.rs::a_gateway_that_gave_up_root_is_followed_by_one_that_does`
//! * The kernel, not the answer, says which process answers at the control socket.
//!   `tests/it/upgrade/root.rs::a_process_that_calls_itself_another_one_is_not_followed`
//! * Another process of the gateway's own user can't read its memory, and no core file is written, unless `process.core_dumps` allows
//!   both.
//!   `tests/it/process.rs::its_memory_is_no_ones_to_read_unless_that_is_asked_for`
//! * After its start, the process opens only files in the folders that it was given, where the kernel has Landlock.
//!   `src/sandbox/file_access.rs::only_what_is_given_can_be_opened`,
//!   `tests/it/sandbox.rs::a_reload_that_names_a_file_elsewhere_is_refused_and_an_upgrade_takes_it`,
//!   `tests/it/sandbox.rs::a_log_elsewhere_is_opened_by_no_reload`
//! * After its start, the process starts no program, also after an upgrade that it takes part in.
//!   `src/sandbox/file_access.rs::no_file_is_executed`,
//!   `src/sandbox/system_calls.rs::no_program_is_started_and_no_namespace_is_made`,
//!   `tests/it/sandbox.rs::every_thread_is_in_the_sandbox`
//! * After its start, the process binds no TCP port, opens no socket of a family but TCP/IP's and Unix's, and reaches no abstract Unix
//!   socket, where Landlock of the kernel knows them.
//!   `src/sandbox/file_access.rs::no_port_is_bound_and_clients_connect`,
//!   `src/sandbox/file_access.rs::abstract_sockets_of_others_are_out_of_reach_unless_they_are_given`,
//!   `src/sandbox/system_calls.rs::threads_start_and_sockets_of_the_gateways_families_open`
//! * A gateway whose sandbox is `required` and can't be had does not start.
//!   `tests/it/sandbox.rs::a_sandbox_that_is_required_and_can_not_be_had_ends_the_start_with_nothing_changed`
//! * The unit leaves the gateway its own folders, low ports and no other privilege, and the containers one small writable folder.
//!   `tests/it/deploy/hardening.rs::the_unit_leaves_the_gateway_its_folders_and_its_ports`,
//!   `tests/it/deploy/hardening.rs::containers_have_no_root_no_capability_and_one_writable_folder`
//! * On a read-only root, a gateway serves and takes orders with one small writable folder for its sockets.
//!   `tests/it/deploy/hardening.rs::a_read_only_root_suffices_with_one_small_folder`
//! * The value of a secret field is in no output of the process, also when it is wrongly written.
//!   `tests/it/config/secrets.rs::a_secret_in_the_wrong_form_is_never_printed`,
//!   `tests/it/config/secrets.rs::a_running_gateway_never_prints_a_secret_of_a_file_that_it_refuses`,
//!   `tests/it/config/leaks.rs::a_secret_that_does_not_do_is_not_repeated_wherever_it_is_kept`
//! * Credentials of clients are in no output of the process, at no level of the program log.
//!   `tests/it/config/leaks.rs::secrets_in_use_and_credentials_of_clients_are_in_no_output`,
//!   `tests/it/access.rs::no_credential_is_ever_printed`
//! * A client writes no line of its own into the logs.
//!   `tests/it/access_log.rs::nobody_can_write_a_line_of_their_own`,
//!   `src/telemetry/program_log.rs::a_message_can_not_forge_another_line`
//!
//! # What survives what
//!
//! * A reload that is refused changes nothing.
//!   `tests/it/reload.rs::a_broken_file_changes_nothing_and_says_what_is_wrong_everywhere`,
//!   `tests/it/reload.rs::what_can_not_change_live_is_named_and_nothing_changes`
//! * A request ends with the configuration with which it began.
//!   `tests/it/reload.rs::a_request_in_progress_finishes_on_what_it_began_with`
//! * Counts of limits, pooled connections, counters and the health of endpoints survive a reload.
//!   `tests/it/reload.rs::buckets_pools_and_counters_survive`,
//!   `tests/it/reload.rs::health_survives`
//! * An API key that a reload removes opens nothing after it.
//!   `tests/it/reload.rs::keys_that_are_taken_away_open_nothing_any_more`
//! * Reloads cost no client a request, also while endpoints die.
//!   `tests/it/unbroken.rs::fifty_reloads_and_dying_endpoints_cost_nobody_a_request`
//! * The configurations before the one in force can be put back.
//!   `tests/it/reload.rs::what_was_in_force_can_be_put_back`
//! * A key that root alone reads stays in use over reloads until its file changes.
//!   `tests/it/files/rights.rs::a_reload_keeps_the_key_that_root_alone_reads_until_it_changes`
//! * Files that are replaced, and links that lead elsewhere, are read by a reload in the sandbox, if they are in the folders of those
//!   before.
//!   `tests/it/sandbox.rs::files_that_links_lead_to_are_replaced_as_certbot_and_deployments_do_it`,
//!   `tests/it/watch.rs::a_volume_of_kubernetes_that_is_swapped_is_served`,
//!   `tests/it/watch.rs::an_edit_in_place_and_one_by_rename_are_served`
//! * Upgrades cost no client a request, also while endpoints die.
//!   `tests/it/unbroken.rs::ten_upgrades_and_dying_endpoints_cost_nobody_a_request`,
//!   `tests/it/upgrade.rs::what_is_under_way_finishes_on_the_old_process_which_then_ends`
//! * An upgrade that fails leaves the old process serving: by a wrong configuration, a taken port, lateness, or the death of the new
//!   process at any moment.
//!   `tests/it/upgrade/failing.rs::a_broken_configuration`,
//!   `tests/it/upgrade/failing.rs::a_port_that_is_taken`,
//!   `tests/it/upgrade/failing.rs::not_becoming_ready_in_time`,
//!   `tests/it/upgrade/failing.rs::the_new_processs_death_at_any_moment`
//! * An upgrade to another user that fails leaves the runtime folder to the old process.
//!   `tests/it/upgrade/root.rs::an_upgrade_to_another_user_that_fails_changes_nothing`
//! * Two upgrades at once leave one process that serves.
//!   `tests/it/upgrade/failing.rs::two_upgrades_at_once_are_one_after_the_other_or_one`
//! * Lines and messages of the new process go where those of the old one went.
//!   `tests/it/upgrade.rs::lines_and_messages_go_where_those_of_the_old_process_went`
//! * A start that is refused leaves the runtime folder as it was.
//!   `tests/it/runtime_folder.rs::a_start_that_is_refused_has_changed_nothing`
//! * Of two gateways that start together on one folder, one serves.
//!   `tests/it/runtime_folder.rs::of_two_gateways_that_start_together_on_one_folder_one_wins`
//! * A gateway that is killed under load starts again in its folder, and its log stays readable.
//!   `tests/it/crash.rs::a_gateway_that_is_killed_under_load_starts_again_in_its_folder_and_its_log_stays_readable`
//! * A runtime folder that is deleted is made again, or used once somebody else has made it.
//!   `tests/it/runtime_folder.rs::what_is_deleted_of_the_folder_is_made_again`,
//!   `tests/it/runtime_folder.rs::a_folder_that_the_gateway_may_not_make_again_is_asked_for`
//! * SIGHUP, SIGUSR1 and SIGUSR2 end no gateway, at no moment of its start.
//!   `tests/it/process.rs::no_signal_that_is_none_of_its_ends_ends_a_process_that_starts`
//! * A stop costs no client a request that `process.drain` leaves time for.
//!   `tests/it/drain.rs::clients_that_ask_while_it_drains_see_no_failure`
//! * A stop ends when `process.drain` is over, whatever clients do, and at once by a second signal.
//!   `tests/it/drain.rs::whoever_holds_a_connection_holds_the_process_for_no_longer_than_the_bound`,
//!   `tests/it/drain.rs::a_second_signal_cuts_at_once`
//! * A reader of the program log that stands still holds up no request, no probe and no stop.
//!   `tests/it/process.rs::a_reader_of_messages_that_stands_still_holds_up_nothing`
//! * A file that does not answer holds up no request and no order but the reload that reads it, which fails soon.
//!   `tests/it/files.rs::a_reload_that_meets_a_file_that_hangs_holds_up_nobody`,
//!   `tests/it/files.rs::a_pipe_in_the_place_of_any_file_is_an_error_at_once`
//! * A watched list or file of endpoints that hangs delays no other.
//!   `tests/it/files/watched.rs::a_list_that_hangs_is_told_and_delays_no_other`,
//!   `tests/it/files/watched.rs::a_file_of_endpoints_that_hangs_is_told_and_delays_no_other`
//! * A list, a file of endpoints or an answer of DNS that becomes wrong changes nothing.
//!   `tests/it/address.rs::a_wrong_or_missing_list_changes_nothing_and_is_told`,
//!   `tests/it/discovery/file.rs::what_is_wrong_with_a_file_changes_nothing_and_is_told`,
//!   `tests/it/discovery.rs::a_failure_keeps_the_last_good_answer_and_is_told`
//! * A rotation of the access log loses no line, and where the new file can't be opened, lines go on to the old one.
//!   `tests/it/deploy/rotation.rs::rotation_under_load_loses_no_line`,
//!   `tests/it/access_log.rs::a_name_that_can_not_be_opened_on_sigusr1_is_told_counted_and_tried_again`
//! * Every line of the access log is written before the process ends in order.
//!   `tests/it/access_log.rs::every_line_is_written_before_the_process_ends`
//! * A panic costs its own request, and its connection or stream, and nothing else.
//!   `tests/it/fault.rs::a_panic_is_a_sealed_500_and_ends_the_connection`,
//!   `tests/it/fault.rs::a_panic_ends_one_stream_and_the_others_of_its_connection_go_on`,
//!   `tests/it/fault.rs::a_panic_gives_back_the_place_in_a_limit`
//! * Whoever holds connections of the admin listener keeps no probe out.
//!   `tests/it/admin.rs::whoever_holds_connections_of_the_admin_listener_keeps_no_probe_out`
//! * A silent client of the upgrade socket holds up no order.
//!   `tests/it/runtime_folder.rs::whoever_asks_the_upgrade_socket_for_nothing_holds_up_no_order`
//!
//! # Which failure is told where
//!
//! * `check` tells every mistake of a configuration at once, each with its place, and `run` refuses the same.
//!   `tests/it/cli.rs::check_reports_every_problem_with_its_place_in_one_run`,
//!   `tests/it/cli.rs::run_refuses_what_check_refuses`
//! * `check` warns of files that everyone can write, and of keys that others can read.
//!   `tests/it/files.rs::check_tells_of_every_file_that_everyone_can_write`,
//!   `tests/it/process.rs::a_key_that_others_can_read_is_named_with_what_to_do`
//! * A port that is taken, or a certificate that does not load, ends the start at once and is named.
//!   `tests/it/listener.rs::a_taken_port_ends_the_process_at_once_and_is_named`,
//!   `tests/it/listener.rs::a_certificate_that_does_not_load_ends_the_process_at_once_and_is_named`
//! * An access log that can't be opened ends the start.
//!   `tests/it/process.rs::a_log_that_the_user_can_not_open_ends_the_start`,
//!   `tests/it/access_log.rs::a_pipe_that_nobody_reads_ends_the_start_and_no_reload_hangs_on_it`
//! * The start says in the program log what a reload will not be able to read, and that the gateway runs as root.
//!   `tests/it/files/rights.rs::a_configuration_that_no_reload_can_read_is_told_at_the_start`,
//!   `tests/it/process.rs::running_as_root_is_said`
//! * The program log and `portcullis status` say what of the sandbox is in force, or why it is not.
//!   `tests/it/sandbox.rs::status_and_log_say_what_is_in_force`,
//!   `tests/it/sandbox.rs::a_sandbox_that_is_required_and_can_not_be_had_ends_the_start_with_nothing_changed`
//! * A reload that names a file which the sandbox does not give says so, with what to do.
//!   `tests/it/sandbox.rs::a_reload_that_names_a_file_elsewhere_is_refused_and_an_upgrade_takes_it`
//! * A reload that is refused is told in the answer to the order, the program log, the metrics, and the notes of `/readyz`.
//!   `tests/it/reload.rs::a_broken_file_changes_nothing_and_says_what_is_wrong_everywhere`,
//!   `tests/it/control.rs::a_reload_by_command_ends_with_what_became_of_it`
//! * An upgrade that fails says so by its exit status, with the messages of the new process.
//!   `tests/it/upgrade/failing.rs::a_broken_configuration`,
//!   `tests/it/upgrade/failing.rs::a_port_that_is_taken`
//! * An order that reaches no gateway says so.
//!   `tests/it/control.rs::where_no_gateway_answers_is_said`
//! * The service manager is told of readiness, reloads and the stop, and hears no more of a process that hangs.
//!   `tests/it/upgrade/supervised.rs::start_reload_and_stop_are_told`,
//!   `tests/it/upgrade/supervised.rs::a_process_that_hangs_is_heard_no_more`
//! * `/livez` fails while a thread that serves stands still.
//!   `tests/it/process.rs::a_thread_that_stands_still_is_no_life`
//! * `/readyz` fails before the port refuses connections.
//!   `tests/it/drain.rs::readiness_fails_before_the_port_refuses`
//! * What a drain cut off is in the access log and in the exit status.
//!   `tests/it/drain.rs::what_the_bound_cuts_is_answered_and_logged_and_makes_the_exit_code`
//! * Each request has one line in the access log, refused, cancelled and panicked ones too.
//!   `tests/it/access_log.rs::there_is_exactly_one_line_for_each_request`,
//!   `tests/it/access_log.rs::a_cancelled_stream_has_its_line`,
//!   `tests/it/fault.rs::a_panic_that_nothing_catches_closes_the_connection_and_is_recorded_all_the_same`
//! * Each refusal is counted by its cause, and each bound that bites by its name.
//!   `tests/it/admin.rs::refusals_are_counted_by_cause`,
//!   `tests/it/admin.rs::bounds_that_bite_are_counted`
//! * The client is told no detail of a refusal, and the access log is.
//!   `tests/it/error.rs::the_detail_is_in_the_log_only`
//! * A watched file that is wrong, or does not answer, is told in the program log and stale in the metrics.
//!   `tests/it/address.rs::a_wrong_or_missing_list_changes_nothing_and_is_told`,
//!   `tests/it/files/watched.rs::a_list_that_hangs_is_told_and_delays_no_other`
//! * An access log that can't be opened again is told in the program log, counted, and tried again.
//!   `tests/it/access_log.rs::a_name_that_can_not_be_opened_on_sigusr1_is_told_counted_and_tried_again`
//! * Messages of the program log that find no room are counted.
//!   `tests/it/process.rs::a_reader_of_messages_that_stands_still_holds_up_nothing`
//! * Every alert in `deploy/` fires on the failure that it names.
//!   `tests/it/deploy/metrics.rs::every_alert_is_tried`,
//!   `tests/it/deploy.rs::promtool_agrees_with_the_rules`
