"""Objectives of knowledge transfer: each compares a teacher's numbers with a student's."""
