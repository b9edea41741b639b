// A qemu plugin that counts the instructions of a program, and writes the number to the file that COUNT names.
//
// The declarations restate the part of qemu's plugin interface that is used here; no package has its header
// (https://www.qemu.org/docs/master/devel/tcg-plugins.html).
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

extern "C" {

struct qemu_plugin_tb;

size_t qemu_plugin_tb_n_insns(const qemu_plugin_tb* block);
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, void (*translated)(uint64_t id, qemu_plugin_tb* block));
void qemu_plugin_register_vcpu_tb_exec_cb(qemu_plugin_tb* block, void (*run)(unsigned processor, void* data), int flags,
                                          void* data);
void qemu_plugin_register_atexit_cb(uint64_t id, void (*ended)(uint64_t id, void* data), void* data);

// The version of the interface that this is built for. qemu refuses versions older or newer than those it supports.
__attribute__((visibility("default"))) extern const int qemu_plugin_version = INTERFACE;

static uint64_t count;

static void run(unsigned, void* instructions) { count += reinterpret_cast<uintptr_t>(instructions); }

static void translated(uint64_t, qemu_plugin_tb* block) {
  qemu_plugin_register_vcpu_tb_exec_cb(block, run, 0, reinterpret_cast<void*>(qemu_plugin_tb_n_insns(block)));
}

static void ended(uint64_t, void*) {
  const char* name = getenv("COUNT");
  FILE* file = name ? fopen(name, "w") : nullptr;
  if (!file) return;
  fprintf(file, "%" PRIu64, count);
  fclose(file);
}

__attribute__((visibility("default"))) int qemu_plugin_install(uint64_t id, const void*, int, char**) {
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_atexit_cb(id, ended, nullptr);
  return 0;
}

}  // extern "C"
