"""HTTP paths."""

from django.urls import path

from . import views

urlpatterns = [
    path("", views.page),
    path("login/", views.log_in),
    path("api/tournaments/<int:tournament_id>/roster/", views.roster),
    path("api/tournaments/<int:tournament_id>/draft/<int:draft_id>/", views.pick),
]
